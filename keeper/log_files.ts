/**
 * Reads log files from their end, and follows them over rotation.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { type LogLine, mergeLogs, parseLog } from "./log_lines.ts";

const chunkBytes = 64 * 1024;

/** Which lines to read. */
export interface LastLinesOptions {
  readonly count: number;
  /** Where in the newest file to stop, because a follower goes on from there. Absent: at its end. */
  readonly endBytes?: number;
}

/** Returns the last lines of a log, going back into its older files (`.1`, `.2`) as far as needed. */
export function lastLines(path: string, source: string, { count, endBytes }: LastLinesOptions): LogLine[] {
  let text = "";
  const files = [path, ...Array.from({ length: limits.logFilesMax - 1 }, (_one, at) => `${path}.${at + 1}`)];
  for (const file of files) {
    const missing = count - countLines(text);
    if (missing <= 0) break;
    text = endOf(file, missing, file === path ? endBytes : undefined) + text;
  }
  return mergeLogs([parseLog(text, source)], count);
}

const countLines = (text: string) => text.split("\n").filter((line) => line.trim() !== "").length;

/** Returns the end of a file that holds at least `lines` lines, or all of it; "" when it is not there. */
function endOf(path: string, lines: number, endBytes = Infinity): string {
  try {
    using file = Deno.openSync(path);
    let at = Math.min(file.statSync().size, endBytes);
    let bytes = new Uint8Array(0);
    let found = 0;
    while (at > 0 && found <= lines) {
      const size = Math.min(chunkBytes, at);
      at -= size;
      const piece = new Uint8Array(size);
      file.seekSync(at, Deno.SeekMode.Start);
      const read = readFully(file, piece);
      bytes = joined(read, bytes);
      found += read.filter((byte) => byte === 10).length;
    }
    const text = new TextDecoder().decode(bytes);
    // What begins in the middle of a line is not shown.
    return at > 0 ? text.slice(text.indexOf("\n") + 1) : text.endsWith("\n") || text === "" ? text : text + "\n";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function readFully(file: Deno.FsFile, piece: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let at = 0;
  while (at < piece.length) {
    const count = file.readSync(piece.subarray(at));
    if (count === null) break;
    at += count;
  }
  return piece.subarray(0, at);
}

function joined(a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** Gives what is added to one log file from now on. */
export class LogFollower implements Disposable {
  readonly #path: string;
  readonly #source: string;
  #file?: Deno.FsFile;
  #inode: number | null = null;
  #decoder = new TextDecoder();
  #unfinished = "";
  #atMs = 0;
  /** Where in the file following begins. */
  readonly startBytes: number;

  /** A file that is there already is followed from its end, or with `fromStart` from its first line. */
  constructor(path: string, source: string, options: { fromStart?: boolean } = {}) {
    this.#path = path;
    this.#source = source;
    this.#open();
    this.startBytes = options.fromStart ? 0 : this.#file?.seekSync(0, Deno.SeekMode.End) ?? 0;
  }

  /** Returns the whole lines that came since the last call. */
  read(): LogLine[] {
    let text = this.#rest();
    if (this.#isRotated()) {
      text += this.#rest(); // what was written between our read and the rotation
      this[Symbol.dispose]();
      this.#open();
      text += this.#rest();
    }
    const all = this.#unfinished + text;
    const end = all.lastIndexOf("\n") + 1;
    this.#unfinished = all.slice(end);
    const lines = parseLog(all.slice(0, end), this.#source, this.#atMs);
    this.#atMs = lines.at(-1)?.atMs ?? this.#atMs;
    return lines;
  }

  #open(): void {
    try {
      this.#file = Deno.openSync(this.#path);
      this.#inode = this.#file.statSync().ino;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  #rest(): string {
    if (!this.#file) return "";
    const piece = new Uint8Array(chunkBytes);
    let text = "";
    for (let count = this.#file.readSync(piece); count !== null && count > 0; count = this.#file.readSync(piece)) {
      text += this.#decoder.decode(piece.subarray(0, count), { stream: true });
    }
    return text;
  }

  #isRotated(): boolean {
    try {
      return Deno.statSync(this.#path).ino !== this.#inode;
    } catch {
      return false; // between two renames: the next look will tell
    }
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
    this.#inode = null;
    this.#decoder = new TextDecoder();
  }
}
