/**
 * Tells everybody that a worker is gone and why: the figures, the log, whoever reads the hive's events.
 *
 * @module
 */
import type { Log } from "../runtime/log.ts";
import type { Ended } from "../runtime/process.ts";
import type { Events } from "./events.ts";
import { countGone } from "./measures.ts";
import { explainEntry, type WorkerEntry } from "./worker_entry.ts";

/** Whom to tell, and what to ask first. */
export interface GoneOptions {
  readonly events: Events;
  readonly log: Log;
  /** How many processes the kernel ended for want of memory so far; undefined where it does not tell. */
  readonly oomKills: () => number | undefined;
}

/** Tells once why a worker that had listened is gone. Returns nothing. */
export function tellGone(entry: WorkerEntry, ended: Ended, options: GoneOptions): void {
  const gone = explainEntry(entry, ended, options.oomKills());
  countGone(gone.reason);
  const { facts: { id }, pid } = entry.worker;
  const facts = { worker_id: id, pid, reason: gone.reason, ...gone.error };
  if (gone.error) options.log.error(gone.reason === "crashed" ? "worker crashed" : "worker failed", facts);
  else options.log.info("worker is gone", facts);
  options.events.gone(gone);
}
