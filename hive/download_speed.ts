/**
 * How fast something comes in, over the last while.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

const bytesPerMb = 1_000_000;

/** Bytes that came, and when. */
export class Speed {
  /** Of the last while, oldest first: when, and how many bytes had come in all. */
  readonly #seen: [ms: number, bytes: number][];
  #bytes = 0;

  /** `nowMs` is that of a monotonic clock. */
  constructor(nowMs: number) {
    this.#seen = [[nowMs, 0]];
  }

  /** Bytes came. */
  add(bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    this.#seen.push([nowMs, this.#bytes]);
    while (this.#seen.length > 2 && this.#seen[1][0] < nowMs - limits.downloadSpeedMs) this.#seen.shift();
  }

  /** Returns megabytes (10^6 bytes) per second, with one decimal. */
  mbPerSecond(nowMs: number): number {
    const [fromMs, before] = this.#seen[0];
    const seconds = Math.max(nowMs - fromMs, 1) / 1_000;
    return Math.round((this.#bytes - before) / bytesPerMb / seconds * 10) / 10;
  }
}
