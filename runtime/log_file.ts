/**
 * A log file that never grows without bound and never takes its program down.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

/** Appends to a file; past `bytesMax` it becomes `.1`, that one `.2`, and so on up to `filesMax` files. */
export class LogFile implements Disposable {
  readonly #path: string;
  readonly #bytesMax: number;
  readonly #filesMax: number;
  #file?: Deno.FsFile;
  #bytes = 0;
  /** Pieces that could not be written: a full disk must not stop an inference. */
  dropped = 0;

  constructor(path: string, options: { bytesMax?: number; filesMax?: number } = {}) {
    this.#path = path;
    this.#bytesMax = options.bytesMax ?? limits.logFileBytesMax;
    this.#filesMax = options.filesMax ?? limits.logFilesMax;
  }

  /** Writes whole pieces, in order; counts what the disk refused. Never throws. */
  write(piece: Uint8Array): void {
    try {
      if (this.#bytes + piece.length > this.#bytesMax && this.#bytes > 0) this.#rotate();
      const file = this.#file ??= this.#open();
      for (let at = 0; at < piece.length;) at += file.writeSync(piece.subarray(at));
      this.#bytes += piece.length;
    } catch {
      this.dropped++; // counted and shown in metrics; there is nowhere left to write about it
      this[Symbol.dispose]();
    }
  }

  #open(): Deno.FsFile {
    const file = Deno.openSync(this.#path, { append: true, create: true, mode: 0o600 });
    this.#bytes = file.statSync().size;
    return file;
  }

  #rotate(): void {
    this[Symbol.dispose]();
    for (let n = this.#filesMax - 1; n >= 1; n--) {
      const from = n === 1 ? this.#path : `${this.#path}.${n - 1}`;
      try {
        Deno.renameSync(from, `${this.#path}.${n}`);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    this.#bytes = 0;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
    this.#bytes = 0;
  }
}
