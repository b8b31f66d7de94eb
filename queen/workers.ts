/**
 * The queen's copy of what each hive last said about its workers, and which of their slots her own tasks hold. A copy:
 * it never decides that a worker ends, and a worker that refuses is right, not the copy.
 *
 * @module
 */
import type { WorkerRecord, WorkerState } from "../protocol/worker.ts";
import type { Backend } from "../protocol/node.ts";
import type { Demand, WorkerView } from "./placement.ts";

/** A hive's answer to a spawn. */
export interface SpawnedWorker {
  readonly worker_id: string;
  readonly url: string;
  readonly state: WorkerState;
}

/** One known worker. Changed only by `Workers`. */
export interface KnownWorker extends WorkerView {
  readonly url: string;
  /** As the hive sent it; undefined until it did. */
  readonly record?: WorkerRecord;
}

type Entry = { -readonly [K in keyof KnownWorker]: KnownWorker[K] };

/** What a hive's whole picture changed. Worker ids. */
export interface StatusChanges {
  readonly loading: string[];
  /** Were loading, and have loaded. */
  readonly loaded: string[];
  /** More layers than before. */
  readonly progressed: string[];
  /** Were loading and are not in the picture: why will come as an event of its own. */
  readonly missing: string[];
  /** Had loaded and are not in the picture any more. */
  readonly gone: string[];
}

/** Every worker that is known, on every node. */
export class Workers {
  readonly #entries = new Map<string, Entry>();
  /** Which worker an attempt (`task#attempt`) holds a slot of. */
  readonly #holds = new Map<string, string>();
  /** What a worker was started for, until its hive shows it and ever after: its record does not say it. */
  readonly #asked = new Map<string, Demand>();

  /** Returns every worker, as placement reads them. Live objects. */
  all(): KnownWorker[] {
    return [...this.#entries.values()];
  }

  /** Returns one worker, or undefined. */
  get(id: string): KnownWorker | undefined {
    return this.#entries.get(id);
  }

  /** How many slots are held on all workers. */
  get held(): number {
    return this.#holds.size;
  }

  /** Takes a hive's whole picture of its workers. Returns what changed by it. */
  applyStatus(node: string, records: readonly WorkerRecord[]): StatusChanges {
    const changes: StatusChanges = { loading: [], loaded: [], progressed: [], missing: [], gone: [] };
    for (const record of records) this.#applyRecord(node, record, changes);
    const shown = new Set(records.map((r) => r.id));
    for (const entry of this.all()) {
      // One that was never shown has only just been answered for: the picture may be older than that answer.
      if (entry.node !== node || shown.has(entry.id) || entry.record === undefined) continue;
      if (entry.state === "loading") changes.missing.push(entry.id);
      else changes.gone.push(entry.id);
    }
    return changes;
  }

  #applyRecord(node: string, record: WorkerRecord, changes: StatusChanges): void {
    const before = this.#entries.get(record.id);
    const entry = this.#merge(node, record, before);
    if (entry.state === "loading") {
      changes.loading.push(record.id);
      if (record.layers_loaded !== before?.record?.layers_loaded) changes.progressed.push(record.id);
    } else if (before?.state === "loading") changes.loaded.push(record.id);
    // Only a picture that shows a free slot says that a refusal is over.
    if (record.slots_available > 0 && record.state === "idle") entry.refuses = false;
    this.#entries.set(record.id, entry);
  }

  #merge(node: string, record: WorkerRecord, before: Entry | undefined): Entry {
    const asked = this.#asked.get(record.id);
    return {
      id: record.id,
      node,
      url: record.url,
      model: record.model_ref,
      backend: record.backend,
      device: record.device,
      state: stateOf(record, before),
      slotsTotal: record.slots_total,
      slotsHeld: before?.slotsHeld ?? 0,
      ctx: record.ctx,
      ctxAsked: asked?.ctx,
      keepS: record.keep_s ?? asked?.keepS,
      refuses: before?.refuses ?? false,
      suspect: before?.suspect ?? false,
      record,
    };
  }

  /** Adds a worker that its hive has answered for and not shown yet. Returns false when it is known already. */
  addSpawned(node: string, spawned: SpawnedWorker, asked: { demand: Demand; slots?: number }): boolean {
    this.#asked.set(spawned.worker_id, asked.demand);
    const known = this.#entries.get(spawned.worker_id);
    if (known) {
      known.ctxAsked = asked.demand.ctx;
      known.keepS ??= asked.demand.keepS;
      return false;
    }
    this.#entries.set(spawned.worker_id, {
      id: spawned.worker_id,
      node,
      url: spawned.url,
      model: asked.demand.model,
      backend: asked.demand.backend as Backend | undefined,
      device: asked.demand.device,
      state: "loading", // whatever it says: only its hive's picture tells how many slots it has
      slotsTotal: asked.slots ?? 1,
      slotsHeld: 0,
      ctxAsked: asked.demand.ctx,
      keepS: asked.demand.keepS,
      refuses: false,
      suspect: false,
    });
    return true;
  }

  /** Forgets a worker. Slots that attempts hold on it stay theirs until these end. */
  remove(id: string): void {
    this.#entries.delete(id);
    this.#asked.delete(id);
  }

  /** Whether an attempt holds a slot. */
  holds(attempt: string): boolean {
    return this.#holds.has(attempt);
  }

  /** Takes a slot for an attempt. */
  hold(id: string, attempt: string): void {
    this.#holds.set(attempt, id);
    this.#count(id);
  }

  /** Gives a slot back; a freed slot is worth another try at a worker that refused. Safe to repeat. */
  release(attempt: string): void {
    const id = this.#holds.get(attempt);
    if (id === undefined) return;
    this.#holds.delete(attempt);
    this.#count(id);
    const entry = this.#entries.get(id);
    if (entry) entry.refuses = false;
  }

  #count(id: string): void {
    const entry = this.#entries.get(id);
    if (entry) entry.slotsHeld = [...this.#holds.values()].filter((held) => held === id).length;
  }

  /** Notes that a worker said that its slots are busy, or that this is worth a new try. */
  setRefuses(id: string, refuses: boolean): void {
    const entry = this.#entries.get(id);
    if (entry) entry.refuses = refuses;
  }

  /** Notes that a worker is not to be used for a while, or may be again. */
  setSuspect(id: string, suspect: boolean): void {
    const entry = this.#entries.get(id);
    if (entry) entry.suspect = suspect;
  }
}

/** One whose load failed shows as unhealthy, then as draining, until its process has ended: why comes with that end. */
function stateOf(record: WorkerRecord, before: Entry | undefined): WorkerState {
  const hasLoaded = record.state === "idle" || record.state === "busy";
  return before?.state === "loading" && !hasLoaded ? "loading" : record.state;
}
