/**
 * Looks after workers: health checks with three strikes, idle time-out, bounded loading. The worker's own figures say
 * what is due; the pool does it.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { Log } from "../runtime/log.ts";
import type { Pool } from "./pool.ts";
import type { Ending, Worker } from "./worker.ts";

/** When to look. */
export interface WatchOptions {
  readonly healthMs: number;
  /** How long a health check may take at most; never longer than the time to the next one. */
  readonly healthTimeoutMs?: number;
  /** How long loading may take. */
  readonly loadMs: number;
  readonly log: Log;
}

/** Watches a pool until it is disposed. */
export class Watch implements Disposable {
  readonly #pool: Pool;
  readonly #options: WatchOptions;
  readonly #timers: number[];
  readonly #checking = new Set<string>();

  constructor(pool: Pool, options: WatchOptions) {
    this.#pool = pool;
    this.#options = options;
    this.#timers = [
      setInterval(() => this.#look(), limits.workerIdleCheckMs),
      setInterval(() => this.#checkAll(), options.healthMs),
    ];
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #look(): void {
    const now = performance.now();
    for (const worker of this.#pool.workers()) {
      const { id } = worker.facts;
      if (worker.isIdleTooLong(now)) this.#run(this.#pool.stop(id, "idle"));
      else if (worker.isLoadingTooLong(now, this.#options.loadMs)) {
        this.#run(this.#pool.fail(id, loadingTimeout(worker, this.#options.loadMs)));
      }
    }
  }

  #checkAll(): void {
    for (const worker of this.#pool.workers()) {
      // Loading has its own bound: native code may hold the worker's event loop for longer than a check may take.
      if (!worker.isLoading && !worker.ending && !this.#checking.has(worker.facts.id)) this.#run(this.#check(worker));
    }
  }

  async #check(worker: Worker): Promise<void> {
    const { id } = worker.facts;
    this.#checking.add(id);
    try {
      const good = await this.#pool.isHealthy(id, healthDeadlineMs(this.#options));
      if (worker.ending) return;
      this.#pool.checked(id, good);
      if (worker.failedChecks >= limits.healthStrikes) await this.#pool.fail(id, unhealthy(worker));
    } finally {
      this.#checking.delete(id);
    }
  }

  #run(work: Promise<void>): void {
    work.catch((error) => this.#options.log.warn("watching failed", { error })); // it went meanwhile
  }
}

/**
 * Returns how long a health check may take in milliseconds. It ends a little before the next one is due: that one would
 * be left out while the last one runs, and each strike would cost two intervals.
 */
export function healthDeadlineMs(options: Pick<WatchOptions, "healthMs" | "healthTimeoutMs">): number {
  return Math.min(options.healthTimeoutMs ?? limits.healthTimeoutMs, 0.9 * options.healthMs);
}

function unhealthy(worker: Worker): Ending {
  return {
    reason: "unhealthy",
    error: {
      code: "WORKER_UNHEALTHY",
      message: `Cannot use the worker: it did not answer ${worker.failedChecks} health checks in a row`,
      details: { worker_id: worker.facts.id, failed_health_checks: worker.failedChecks },
      hint: `See \`rbee logs --worker ${worker.facts.id}\``,
    },
  };
}

/** Returns why a worker that loads for too long is ended, with how far it came (S33, S42). */
export function loadingTimeout(worker: Worker, loadMs: number): Ending {
  const { layers_loaded, layers_total } = worker.status ?? {};
  const at = layers_total ? `, stuck at ${layers_loaded ?? 0}/${layers_total} layers` : "";
  return {
    reason: "timeout",
    error: {
      code: "LOADING_TIMEOUT",
      message: `Cannot use the model: loading took longer than ${duration(loadMs)}${at}`,
      details: {
        worker_id: worker.facts.id,
        state: "loading",
        timeout_s: loadMs / 1_000,
        ...(layers_total && { layers_loaded: layers_loaded ?? 0, layers_total }),
      },
      hint: `Check the worker's log: \`rbee logs --worker ${worker.facts.id}\``,
    },
  };
}

function duration(ms: number): string {
  const minutes = ms / 60_000;
  return Number.isInteger(minutes) ? `${minutes} ${minutes === 1 ? "minute" : "minutes"}` : `${ms / 1_000} s`;
}
