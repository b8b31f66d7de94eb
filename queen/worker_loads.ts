/**
 * Workers that load their models: who waits for them is told how far they are, and one that takes too long is given up.
 * Pure.
 *
 * @module
 */
import type { FleetListener } from "./fleet_listener.ts";
import { loadingTimeout } from "./loading_timeout.ts";
import type { Outbox } from "./outbox.ts";
import type { Verdict } from "./retry.ts";
import type { StatusChanges, Workers } from "./workers.ts";

/** What it works on. */
export interface WorkerLoadsParts {
  readonly out: Outbox;
  readonly workers: Workers;
  readonly listener: Pick<FleetListener, "onWaitOver" | "onProgress">;
  /** How long a model may take to load. */
  readonly loadMs: number;
  /** Forgets a worker that its hive has never shown. */
  readonly drop: (worker: string, verdict: Verdict) => void;
}

/** All workers that load. */
export class WorkerLoads {
  readonly #parts: WorkerLoadsParts;

  constructor(parts: WorkerLoadsParts) {
    this.#parts = parts;
  }

  /** A worker listens, and loads from now on. */
  begin(id: string): void {
    this.#parts.out.setTimer(`load:${id}`, this.#parts.loadMs);
  }

  /** Takes what a hive's picture changed. */
  take({ loading, progressed, loaded }: Pick<StatusChanges, "loading" | "progressed" | "loaded">): void {
    const { out, listener } = this.#parts;
    for (const id of loading) if (!out.isArmed(`load:${id}`)) this.begin(id);
    for (const id of progressed) this.#tellProgress(id);
    for (const id of loaded) {
      out.clearTimer(`load:${id}`);
      listener.onProgress({ kind: "worker", id }, { stage: "ready" });
    }
  }

  #tellProgress(id: string): void {
    const record = this.#parts.workers.get(id)?.record;
    if (record?.layers_loaded === undefined || record.layers_total === undefined) return;
    const { layers_loaded, layers_total, vram_mb = 0 } = record;
    const progress = { stage: "loading_to_vram" as const, layers_loaded, layers_total, vram_mb };
    this.#parts.listener.onProgress({ kind: "worker", id }, progress);
  }

  /** It loads too long: nobody waits for it any more, and its hive is asked to end it, so that the next task is not caught. */
  onTimeout(id: string): void {
    const { out, workers, listener, loadMs, drop } = this.#parts;
    const worker = workers.get(id);
    if (!worker || worker.state !== "loading") return;
    out.emit({ type: "stopWorker", node: worker.node, worker: id });
    const verdict: Verdict = { then: "fail", error: loadingTimeout(worker, loadMs), suspect: false };
    listener.onWaitOver({ kind: "worker", id }, verdict);
    if (worker.record) workers.mark(id, { suspect: true }); // until its hive shows it no more
    else drop(id, verdict);
  }
}
