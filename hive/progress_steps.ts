/**
 * Tells how far something with many bytes has come, not more often than a person can see.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { ProgressEvent } from "../protocol/progress.ts";

const bytesPerMb = 1024 * 1024;

/** Progress over bytes whose number is known. */
export class Steps {
  readonly #stage: "verifying" | "copying";
  readonly #total: number;
  readonly #tell: (progress: ProgressEvent) => Promise<void>;
  readonly #startedAt = performance.now();
  #done = 0;
  #file = "";
  #toldAt = -Infinity;

  constructor(
    stage: "verifying" | "copying",
    totalBytes: number,
    tell: (progress: ProgressEvent) => Promise<void>,
  ) {
    this.#stage = stage;
    this.#total = totalBytes;
    this.#tell = tell;
  }

  /** Counts bytes of a file. Rejects when whoever listens has gone. */
  async add(file: string, bytes: number): Promise<void> {
    this.#done += bytes;
    this.#file = file;
    if (performance.now() - this.#toldAt >= limits.downloadProgressMs) await this.#say();
  }

  /** Tells the last state. */
  async end(): Promise<void> {
    if (this.#file !== "") await this.#say();
  }

  async #say(): Promise<void> {
    this.#toldAt = performance.now();
    const seconds = (this.#toldAt - this.#startedAt) / 1_000;
    await this.#tell({
      stage: this.#stage,
      file: this.#file,
      bytes_done: this.#done,
      bytes_total: this.#total,
      speed_mbps: seconds > 0 ? Math.round(this.#done / bytesPerMb / seconds * 10) / 10 : 0,
    });
  }
}
