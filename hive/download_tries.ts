/**
 * S17: how often something over the network is tried, and how long is waited in between.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";

/** What is told of a try that failed and will be followed by another. */
export interface Retry {
  /** Why it failed: "Connection reset by peer". */
  readonly reason: string;
  /** Number of the try that follows, from 2. */
  readonly attempt: number;
  readonly attempts: number;
  readonly waitMs: number;
}

/** Counts tries. Only those that failed in a row count. */
export class Tries {
  #failed = 0;
  readonly #signal?: AbortSignal;
  readonly #onRetry?: (retry: Retry) => void;

  constructor(options: { signal?: AbortSignal; onRetry?: (retry: Retry) => void } = {}) {
    this.#signal = options.signal;
    this.#onRetry = options.onRetry;
  }

  /** How many failed in a row. */
  get failed(): number {
    return this.#failed;
  }

  /** The last one brought something. */
  gained(): void {
    this.#failed = 0;
  }

  /** Waits for the next try. Throws `error` when it was the last one or cannot get better, and the signal's reason. */
  async failedWith(error: unknown): Promise<void> {
    if (this.#signal?.aborted) throw this.#signal.reason;
    this.#failed++;
    if (!canPass(error) || this.#failed >= limits.downloadAttempts) throw error;
    const asked = Number(error.details.retry_after_ms ?? 0);
    const backoff = Math.min(limits.downloadBackoffMsMax, limits.downloadBackoffMs * 2 ** (this.#failed - 1));
    const waitMs = Math.min(limits.downloadRetryAfterMsMax, Math.max(backoff, asked));
    const reason = String(error.details.reason ?? error.message);
    this.#onRetry?.({ reason, attempt: this.#failed + 1, attempts: limits.downloadAttempts, waitMs });
    await sleep(waitMs, this.#signal);
  }
}

/** Whether trying again may help: not where the server has said no, or may not be followed. */
function canPass(error: unknown): error is RbeeError {
  if (!(error instanceof RbeeError) || error.details.refused === true) return false;
  if (error.code === "DOWNLOAD_TIMEOUT") return true;
  const status = Number(error.details.status ?? 0);
  return error.code === "DOWNLOAD_FAILED" && (status === 0 || status >= 500 || status === 429 || status === 408);
}

/** Returns what a `Retry-After` header asks for, in milliseconds; undefined when there is none. */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
