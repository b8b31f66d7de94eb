/**
 * One worker as its hive sees it: what it was started as, what it last said of itself, and how it is about to end.
 * No I/O and no clock of its own, so that every rule here is an ordinary unit test.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { Backend } from "../protocol/node.ts";
import type { WorkerGone } from "../protocol/hive_status.ts";
import type { WorkerReady, WorkerRecord, WorkerState, WorkerStatus } from "../protocol/worker.ts";

/** What a worker was started as. */
export interface WorkerFacts {
  readonly id: string;
  readonly url: string;
  readonly port: number;
  readonly modelRef: string;
  readonly backend: Backend;
  readonly device: number;
  readonly slots: number;
  /** How long it may idle in milliseconds; 0 means for ever. */
  readonly idleMs: number;
  /** What the caller asked for instead of the configured idle time-out. */
  readonly keepS?: number;
}

/** Why it ends; written once, by whoever was first. */
export type Ending = Omit<WorkerGone, "worker_id"> & { readonly reason: GoneReason };

/** The ways in which a worker can go. */
export type GoneReason = "stopped" | "idle" | "crashed" | "unhealthy" | "load-failed" | "timeout";

/** The hive's view of one worker. Times named `now` are monotonic milliseconds. */
export class Worker {
  readonly facts: WorkerFacts;
  /** Its process; null before it is started. */
  pid: number | null = null;
  failedChecks = 0;
  #ready?: WorkerReady;
  #listeningSince?: number;
  #idleSince?: number;
  #status?: WorkerStatus;
  #lastActivityUnix: number;
  #ending?: Ending;
  #hasEnded = false;

  constructor(facts: WorkerFacts, nowUnix: number) {
    this.facts = facts;
    this.#lastActivityUnix = nowUnix;
  }

  /** Whether it has called back: only then it stands in lists (S29). */
  get isListening(): boolean {
    return this.#ready !== undefined;
  }

  /** What it last said of itself. */
  get status(): WorkerStatus | undefined {
    return this.#status;
  }

  /** Why it is about to end; undefined while nobody wants that. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Its state as everybody is told. */
  get state(): WorkerState {
    if (this.#ending) return "draining";
    if (this.failedChecks > 0) return "unhealthy";
    const said = this.#status?.state ?? "loading";
    return this.#hasEnded && said !== "draining" ? "unhealthy" : said;
  }

  /** Whether its model is not in memory yet, whatever its health. */
  get isLoading(): boolean {
    return (this.#status?.state ?? "loading") === "loading";
  }

  /**
   * Takes the ready callback. Returns false when it came before with the same fields. Throws `INVALID_REQUEST` when it
   * is not what was started, `WORKER_ALREADY_REGISTERED` when it differs from the first one, `WORKER_NOT_FOUND` when
   * its time to register is over: it would count as a worker that crashed, though it never worked.
   */
  acceptReady(ready: WorkerReady, now: number): boolean {
    if (this.#ready) {
      if (sameFields(this.#ready, ready)) return false;
      throw new RbeeError("WORKER_ALREADY_REGISTERED", {
        message: `Cannot register ${this.facts.id} twice: the second callback differs`,
      });
    }
    if (this.#ending || this.#hasEnded) {
      throw new RbeeError("WORKER_NOT_FOUND", {
        message: `Cannot register ${this.facts.id}: it is being ended`,
        details: { worker_id: this.facts.id },
      });
    }
    this.#checkIsOurs(ready);
    this.#ready = ready;
    this.#listeningSince = now;
    return true;
  }

  #checkIsOurs(ready: WorkerReady): void {
    const started: [string, unknown, unknown][] = [
      ["url", trimmed(this.facts.url), trimmed(ready.url)],
      ["model_ref", this.facts.modelRef, ready.model_ref],
      ["backend", this.facts.backend, ready.backend],
      ["device", this.facts.device, ready.device],
    ];
    const errors = started.filter(([, mine, theirs]) => mine !== theirs).map(([field]) => ({
      field,
      constraint: "equal",
      message: `${field}: not what this worker was started with`,
    }));
    if (errors.length > 0) {
      throw new RbeeError("INVALID_REQUEST", {
        message: `Cannot register ${this.facts.id}: check ${errors.map((e) => e.field).join(", ")}`,
        details: { errors },
      });
    }
  }

  /** Takes what the worker says of itself. Returns whether anything changed for others. */
  takeStatus(status: WorkerStatus, times: { now: number; nowUnix: number }): boolean {
    const before = this.#status;
    this.#status = status;
    if (status.state !== "idle") this.#idleSince = undefined;
    else if (before?.state !== "idle" || status.last_request_unix > before.last_request_unix) {
      this.#idleSince = times.now;
    }
    if (before?.state !== status.state) this.#lastActivityUnix = times.nowUnix;
    return JSON.stringify(before) !== JSON.stringify(status);
  }

  /** Takes the result of a health check. A good one shows as activity, but does not prolong the idle time (S47). */
  checked(good: boolean, nowUnix: number): void {
    this.failedChecks = good ? 0 : this.failedChecks + 1;
    if (good) this.#lastActivityUnix = nowUnix;
  }

  /** Notes that its process is gone: nobody may be sent to it any more, whatever it last said. */
  processEnded(): void {
    this.#hasEnded = true;
  }

  /** Notes why it is to end. Returns whether this was the first reason; of one that is gone already it is none. */
  beginEnd(ending: Ending): boolean {
    if (this.#ending || this.#hasEnded) return false;
    this.#ending = ending;
    return true;
  }

  /** Whether it has idled for as long as it may. */
  isIdleTooLong(now: number): boolean {
    if (this.facts.idleMs === 0 || this.#ending || this.#idleSince === undefined) return false;
    return now - this.#idleSince >= this.facts.idleMs;
  }

  /** Whether it listens, and has been loading for longer than that. */
  isLoadingTooLong(now: number, loadMs: number): boolean {
    if (this.#listeningSince === undefined || this.#ending || !this.isLoading) return false;
    return now - this.#listeningSince >= loadMs;
  }

  /** Returns the worker as it stands in lists. */
  record(): WorkerRecord {
    const { facts } = this;
    const said = this.#status;
    const usable = this.state === "idle" || this.state === "busy";
    const record: WorkerRecord = {
      id: facts.id,
      url: facts.url,
      port: facts.port,
      model_ref: facts.modelRef,
      backend: facts.backend,
      device: facts.device,
      state: this.state,
      slots_total: said?.slots_total ?? facts.slots,
      slots_available: usable ? said?.slots_available ?? 0 : 0,
      last_activity_unix: Math.max(this.#lastActivityUnix, Math.floor(said?.last_request_unix ?? 0)),
      failed_health_checks: this.failedChecks,
      pid: this.pid,
    };
    const optional = {
      ctx: said?.ctx,
      keep_s: facts.keepS,
      memory_bytes: said?.memory_bytes ?? this.#ready?.vram_bytes,
      layers_loaded: this.isLoading ? said?.layers_loaded : undefined,
      layers_total: this.isLoading ? said?.layers_total : undefined,
      vram_mb: this.isLoading ? said?.vram_mb : undefined,
    };
    return { ...record, ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) };
  }
}

const trimmed = (url: string) => url.replace(/\/+$/, "");

function sameFields(a: WorkerReady, b: WorkerReady): boolean {
  return trimmed(a.url) === trimmed(b.url) && a.model_ref === b.model_ref && a.backend === b.backend &&
    a.device === b.device && a.slots_total === b.slots_total && a.vram_bytes === b.vram_bytes;
}
