/**
 * Brings files into the models folder: by a hard link where that will do, else by a copy. Each gets its name last, the
 * first file of a model as the very last: what has a name is whole.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { diskBytes } from "../native/libc.ts";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { dirname } from "../runtime/path.ts";
import { isDiskFull } from "../runtime/paths.ts";
import { makeFolders } from "./model_places.ts";
import { Steps } from "./progress_steps.ts";
import type { Waiter } from "./verify.ts";

/** One file: its real path, and where it goes (absolute). */
export interface Move {
  readonly from: string;
  readonly to: string;
}

const unfinishedName = /\.[0-9a-f]{8}\.importing$/;

/** Removes a file that a killed hive left unfinished. Returns whether it was one. */
export async function removeUnfinished(path: string): Promise<boolean> {
  if (!unfinishedName.test(path)) return false;
  try {
    using file = await Deno.open(path);
    if (!file.tryLockSync(true)) return false; // another hive is at it
    await Deno.remove(path);
    return true;
  } catch {
    return false; // gone meanwhile
  }
}

/**
 * Places the files below `root` (a real path). Returns the digests of those that had to be copied, by target. Throws
 * `INSUFFICIENT_DISK`, `DISK_FULL`, `HOME_NOT_WRITABLE`, `CHECKSUM_MISMATCH`, and the signal's reason.
 */
export async function placeFiles(
  moves: readonly Move[],
  options: { root: string; digest?: string; waiter: Waiter },
): Promise<Map<string, string>> {
  const mark = `.${crypto.randomUUID().slice(0, 8)}.importing`;
  const digests = new Map<string, string>();
  try {
    const copies: Move[] = [];
    for (const move of moves) {
      await makeFolders(options.root, dirname(move.to).slice(options.root.length + 1).split("/"));
      if (!await link(move.from, move.to + mark)) copies.push(move);
    }
    await checkSpace(copies);
    const steps = new Steps("copying", (await lengths(copies)).reduce((a, b) => a + b, 0), options.waiter.tell);
    for (const { from, to } of copies) digests.set(to, await copy(from, to + mark, steps, options.waiter.signal));
    await steps.end();
    checkDigest(moves, digests, options.digest);
    for (const { to } of moves.toReversed()) await Deno.rename(to + mark, to);
    for (const folder of new Set(moves.map(({ to }) => dirname(to)))) await syncFolder(folder);
    return digests;
  } catch (error) {
    for (const { to } of moves) await Deno.remove(to + mark).catch(() => {}); // it may not have come to be
    throw error instanceof RbeeError || options.waiter.signal.aborted ? error : notWritable(moves[0].to, error);
  }
}

/** Returns whether it could be linked: not across disks, not where the system forbids it for other people's files. */
async function link(from: string, to: string): Promise<boolean> {
  try {
    await Deno.link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || isDiskFull(error)) throw error;
    return false;
  }
}

async function lengths(moves: readonly Move[]): Promise<number[]> {
  return await Promise.all(moves.map(async ({ from }) => (await Deno.stat(from)).size));
}

async function checkSpace(copies: readonly Move[]): Promise<void> {
  if (copies.length === 0) return;
  const needed = (await lengths(copies)).reduce((a, b) => a + b, 0);
  const folder = dirname(copies[0].to);
  const free = diskBytes(folder)?.freeBytes;
  if (free === undefined || free >= needed + limits.downloadSpareBytes) return;
  const mb = (bytes: number) => Math.ceil(bytes / 1024 / 1024);
  throw new RbeeError("INSUFFICIENT_DISK", {
    message: `Cannot copy the model: ${folder} needs ${mb(needed + limits.downloadSpareBytes)} MB, has ${mb(free)} MB`,
    details: { required: mb(needed + limits.downloadSpareBytes), available: mb(free), path: folder },
  });
}

/** Returns the digest of what was copied. */
async function copy(from: string, to: string, steps: Steps, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  using source = await Deno.open(from);
  using target = await Deno.open(to, { write: true, createNew: true, mode: 0o600 });
  target.lockSync(true); // so that nobody takes it for what a killed hive left
  const buffer = new Uint8Array(limits.modelPieceBytes);
  for (let n: number | null; (n = await source.read(buffer)) !== null;) {
    signal.throwIfAborted();
    const piece = buffer.subarray(0, n);
    hash.update(piece);
    for (let at = 0; at < n;) at += await target.write(piece.subarray(at));
    await steps.add(from, n);
  }
  await target.syncData();
  return `sha256:${hash.digest("hex")}`;
}

function checkDigest(moves: readonly Move[], digests: ReadonlyMap<string, string>, expected?: string): void {
  const found = moves.length === 1 ? digests.get(moves[0].to) : undefined;
  if (expected === undefined || found === undefined || found === expected) return;
  throw new RbeeError("CHECKSUM_MISMATCH", {
    message: `Cannot use ${moves[0].from}: its bytes are not those that its name tells`,
    details: { expected, found },
    hint: "Fetch it again where it came from",
  });
}

/** The name of a renamed file is on the disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  try {
    using open = await Deno.open(folder);
    await open.sync();
  } catch {
    // some file systems have no such thing
  }
}

function notWritable(path: string, cause: unknown): RbeeError {
  return new RbeeError(isDiskFull(cause) ? "DISK_FULL" : "HOME_NOT_WRITABLE", {
    message: `Cannot write ${path}: ${cause instanceof Error ? cause.message : cause}`,
    details: { path },
    hint: "Free space, or make the models folder writable; [models] dir sets another one",
    cause,
  });
}
