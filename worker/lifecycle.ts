/**
 * What state this worker is in: `loading → idle ↔ busy → draining`, and `unhealthy` when the model could not be loaded.
 * The only writer of the state; everybody else asks, or watches.
 *
 * @module
 */
import type { LoadProgress, ModelFacts } from "../native/engine.ts";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { WorkDone, WorkerState, WorkerStatus } from "../protocol/worker.ts";

const mebibyte = 1024 * 1024;

/** What a lifecycle is made of. */
export interface LifecycleOptions {
  workerId: string;
  slotsTotal: number;
  /** What was computed so far; told with every change. */
  work?: () => WorkDone;
}

/** The one truth about this worker's state. */
export class Lifecycle {
  readonly workerId: string;
  readonly slotsTotal: number;
  readonly #work?: () => WorkDone;
  #state: WorkerState = "loading";
  #slotsBusy = 0;
  #lastRequestMs = Date.now();
  #progress?: LoadProgress;
  #toldProgressMs = -Infinity;
  #facts?: ModelFacts;
  #error?: RbeeError;
  #closed = false;
  #version = 0;
  readonly #wakers = new Set<() => void>();

  constructor(options: LifecycleOptions) {
    this.workerId = options.workerId;
    this.slotsTotal = options.slotsTotal;
    this.#work = options.work;
  }

  /** `loading`, `idle`, `busy` (at least one generation runs), `draining` or `unhealthy`. */
  get state(): WorkerState {
    return this.#state;
  }

  /** How many slots generate now. */
  get slotsBusy(): number {
    return this.#slotsBusy;
  }

  /** How far the load has come; undefined before the engine said anything. */
  get progress(): LoadProgress | undefined {
    return this.#progress;
  }

  /** What is true of the model; undefined until it is loaded. */
  get facts(): ModelFacts | undefined {
    return this.#facts;
  }

  /** Why loading failed. */
  get error(): RbeeError | undefined {
    return this.#error;
  }

  /** Throws `WORKER_NOT_READY`, `SHUTTING_DOWN` or the load's error when no generation can begin. */
  checkAccepting(): void {
    if (this.#state === "draining") throw new RbeeError("SHUTTING_DOWN");
    if (this.#state === "unhealthy") throw this.#error;
    if (this.#state === "loading") throw new RbeeError("WORKER_NOT_READY", { details: this.#layers() });
  }

  /** Records how far the load is. Watchers hear of it every `progressIntervalMs` at most: a small model has many layers. */
  loadProgressed(progress: LoadProgress): void {
    if (this.#state !== "loading") return;
    this.#progress = progress;
    const now = performance.now();
    const isEnd = progress.layersLoaded === 0 || progress.layersLoaded >= progress.layersTotal;
    if (!isEnd && now - this.#toldProgressMs < limits.progressIntervalMs) return;
    this.#toldProgressMs = now;
    this.#changed();
  }

  /** The model is in memory. Does nothing when the worker began to drain meanwhile. */
  loaded(facts: ModelFacts): void {
    if (this.#state !== "loading") return;
    this.#facts = facts;
    this.#state = "idle";
    this.#lastRequestMs = Date.now();
    this.#changed();
  }

  /** The model cannot be loaded: nothing follows but the end of the process. */
  loadFailed(error: RbeeError): void {
    if (this.#state !== "loading") return;
    this.#error = error;
    this.#state = "unhealthy";
    this.#changed();
  }

  /** A slot was taken. */
  slotTaken(): void {
    this.#slotsBusy++;
    this.#slotsChanged();
  }

  /** A slot is free again. */
  slotFreed(): void {
    this.#slotsBusy--;
    this.#slotsChanged();
  }

  /** No new generation begins from now on; those that run may end. */
  drain(): void {
    if (this.#state === "draining") return;
    this.#state = "draining";
    this.#changed();
  }

  /** Ends all watching, after the last change was seen. */
  close(): void {
    this.#closed = true;
    this.#wakeAll();
  }

  /** Returns what the hive is told. */
  status(): WorkerStatus {
    const accepting = this.#state === "idle" || this.#state === "busy";
    const facts = this.#facts;
    const work = this.#work?.();
    return {
      worker_id: this.workerId,
      state: this.#state,
      slots_total: this.slotsTotal,
      slots_available: accepting ? this.slotsTotal - this.#slotsBusy : 0,
      last_request_unix: this.#lastRequestMs / 1_000,
      ...this.#layers(),
      ...(facts &&
        { ctx: facts.contextTokens, memory_bytes: facts.memoryBytes, vram_mb: facts.memoryBytes / mebibyte }),
      ...(work && work.tasks > 0 && { work }),
      ...(this.#error && {
        error: { code: this.#error.code, message: this.#error.message, details: this.#error.details },
      }),
    };
  }

  /**
   * Yields at once and then after each change; changes that come faster than the watcher reads are seen as one. Ends
   * when the lifecycle is closed or the signal aborts.
   */
  async *watch(signal: AbortSignal): AsyncGenerator<void> {
    let seen = -1;
    let wake = () => {};
    const waker = () => wake();
    this.#wakers.add(waker);
    signal.addEventListener("abort", waker);
    try {
      while (!signal.aborted) {
        if (seen !== this.#version) {
          seen = this.#version;
          yield;
        } else if (this.#closed) {
          return;
        } else {
          await new Promise<void>((resolve) => wake = resolve);
        }
      }
    } finally {
      this.#wakers.delete(waker);
      signal.removeEventListener("abort", waker);
    }
  }

  #layers(): { layers_loaded?: number; layers_total?: number; vram_mb?: number } {
    const p = this.#facts ? undefined : this.#progress;
    return p ? { layers_loaded: p.layersLoaded, layers_total: p.layersTotal, vram_mb: p.vramMb } : {};
  }

  #slotsChanged(): void {
    this.#lastRequestMs = Date.now();
    if (this.#state === "idle" || this.#state === "busy") this.#state = this.#slotsBusy > 0 ? "busy" : "idle";
    this.#changed();
  }

  #changed(): void {
    this.#version++;
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of this.#wakers) wake();
  }
}
