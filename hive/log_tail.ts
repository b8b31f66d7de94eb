/**
 * The end of a rotated log, and what is added to it while somebody watches.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";

/** How to read. */
export interface TailOptions {
  readonly lines: number;
  /** Goes on with what is written later, until the signal aborts. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Yields the last lines of a log, then what is added. Ends by itself when it does not follow. */
export async function* tailLog(path: string, options: TailOptions): AsyncGenerator<Uint8Array> {
  let file = open(path);
  try {
    const current = file ? await readRest(file) : new Uint8Array(0);
    yield* lastLines([current, ...older(path)], options.lines);
    while (options.follow && !options.signal.aborted) {
      await sleep(limits.logFollowMs, options.signal).catch(() => {}); // aborted: the loop's condition ends it
      if (file) yield* added(await readRest(file));
      if (!isRotated(path, file)) continue;
      file?.close(); // what it held was read above, up to its end
      file = open(path);
    }
  } finally {
    file?.close();
  }
}

function* added(piece: Uint8Array): Generator<Uint8Array> {
  if (piece.length > 0) yield piece;
}

/** Rotated pieces, newest first, opened only when the newer ones hold too few lines. */
function* older(path: string): Generator<Uint8Array> {
  for (let n = 1; n < limits.logFilesMax; n++) {
    try {
      yield Deno.readFileSync(`${path}.${n}`);
    } catch {
      return; // never rotated so often
    }
  }
}

/** Yields the last lines of pieces that come newest first, in the order in which they were written. */
export function* lastLines(pieces: Iterable<Uint8Array>, lines: number): Generator<Uint8Array> {
  const kept: Uint8Array[] = [];
  let left = lines;
  for (const piece of pieces) {
    if (left <= 0) break;
    const { from, found } = startOfLast(piece, left);
    kept.unshift(piece.subarray(from));
    left -= found;
  }
  yield* kept.filter((piece) => piece.length > 0);
}

const newline = 10;

function startOfLast(bytes: Uint8Array, lines: number): { from: number; found: number } {
  let found = 0;
  for (let at = bytes.length; at > 0;) {
    const before = bytes.lastIndexOf(newline, at - 2); // the line that ends at `at` begins after this one
    found++;
    if (found === lines || before < 0 || at < 2) return { from: at < 2 ? 0 : before + 1, found };
    at = before + 1;
  }
  return { from: 0, found };
}

function open(path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(path);
  } catch {
    return undefined; // not written yet
  }
}

async function readRest(file: Deno.FsFile): Promise<Uint8Array> {
  const { size } = await file.stat();
  const position = await file.seek(0, Deno.SeekMode.Current);
  const rest = new Uint8Array(Math.max(0, size - position));
  let at = 0;
  while (at < rest.length) {
    const got = await file.read(rest.subarray(at));
    if (got === null) break;
    at += got;
  }
  return rest.subarray(0, at);
}

function isRotated(path: string, file: Deno.FsFile | undefined): boolean {
  try {
    const now = Deno.statSync(path);
    return file === undefined || now.ino !== file.statSync().ino;
  } catch {
    return false; // between two files: the next look finds the new one
  }
}
