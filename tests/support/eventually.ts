/**
 * Waiting for a state instead of sleeping: every wait has a bound, and says what it waited for when that is over.
 *
 * @module
 */

/** Deadlines are this many times the stated figure: a test machine may be busy with something else. */
export const patience = 3;

/** What is waited for. */
export interface EventuallyOptions {
  /** The stated figure in milliseconds; the wait lasts `patience` times as long. */
  withinMs: number;
  /** "the worker is idle". */
  what: string;
  everyMs?: number;
  /** Returns what was seen instead, for the message. */
  seen?: () => string;
}

/**
 * Returns the first value of `look` that is not undefined, false or null. A `look` that throws has not seen it yet.
 * Throws when the time is over.
 */
export async function eventually<T>(
  look: () => T | Promise<T>,
  options: EventuallyOptions,
): Promise<Exclude<T, undefined | false | null>> {
  const started = performance.now();
  let lastError = "";
  for (;;) {
    try {
      const value = await look();
      if (value !== undefined && value !== false && value !== null) {
        return value as Exclude<T, undefined | false | null>;
      }
      lastError = "";
    } catch (error) {
      lastError = `; last: ${error instanceof Error ? error.message : error}`;
    }
    const waitedMs = performance.now() - started;
    if (waitedMs > options.withinMs * patience) {
      const seen = options.seen ? `; seen: ${options.seen()}` : "";
      throw new Error(`Cannot see that ${options.what}: waited ${Math.round(waitedMs)} ms${lastError}${seen}`);
    }
    await pause(options.everyMs ?? 50);
  }
}

/** Resolves after that time. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Returns what a promise gives. Throws, naming what was waited for, after `patience` times the stated figure. */
export async function withinTime<T>(promise: Promise<T>, options: { withinMs: number; what: string }): Promise<T> {
  let timer: number | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const ms = options.withinMs * patience;
    timer = setTimeout(() => reject(new Error(`Cannot see that ${options.what}: waited ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
