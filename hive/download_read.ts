/**
 * Reads the body of an answer that may break off or fall silent at any byte.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

/** How a body is read. */
export interface Reading {
  /** Reading ends after so many bytes, whatever else comes. */
  readonly bytesMax: number;
  readonly signal: AbortSignal;
  /** Is calmed by each piece, and ends the reading when it barks. */
  readonly quiet: Watchdog;
}

/**
 * Hands the body to `take`, piece by piece; a piece is valid until `take` has resolved. Resolves at the body's end, however
 * it came; everything that arrived was handed over. Throws what `take` throws.
 */
export async function readBody(
  response: Response,
  { bytesMax, signal, quiet }: Reading,
  take: (piece: Uint8Array) => Promise<void> | void,
): Promise<void> {
  if (!response.body) return;
  const reader = response.body.getReader({ mode: "byob" });
  const leave = () => void reader.cancel().catch(() => {}); // broken already
  for (const one of [signal, quiet.signal]) one.addEventListener("abort", leave, { once: true });
  // A read that fails takes its memory with it, so nothing that came may lie in there.
  let memory = new ArrayBuffer(limits.downloadReadBytes);
  try {
    for (let left = bytesMax; left > 0;) {
      const room = Math.min(memory.byteLength, left);
      const step = await reader.read(new Uint8Array(memory, 0, room)).catch(() => undefined); // whoever counts bytes sees
      if (!step || step.done) break;
      memory = step.value.buffer;
      left -= step.value.length;
      quiet.calm();
      await take(step.value);
    }
  } finally {
    for (const one of [signal, quiet.signal]) one.removeEventListener("abort", leave);
    leave();
    reader.releaseLock();
  }
}

/** Aborts when nothing has come for a while. */
export class Watchdog {
  readonly #abort = new AbortController();
  readonly #ms: number;
  #calmAt = performance.now();
  #timer: number;

  constructor(ms: number) {
    this.#ms = ms;
    this.#timer = setTimeout(() => this.#look(), ms);
  }

  /** Aborted when it was silent for too long. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Something came. */
  calm(): void {
    this.#calmAt = performance.now();
  }

  /** It is over. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Looks when the time may be over, instead of setting a timer for each piece. */
  #look(): void {
    const leftMs = this.#calmAt + this.#ms - performance.now();
    if (leftMs <= 0) return this.#abort.abort(new DOMException("no bytes came", "TimeoutError"));
    this.#timer = setTimeout(() => this.#look(), Math.ceil(leftMs));
  }
}
