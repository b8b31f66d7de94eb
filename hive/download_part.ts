/**
 * A file while it arrives: bytes are appended, hashed in their order and taken to the disk, and whatever interrupts that
 * leaves a piece of the right file that the next try goes on with.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";
import { isDiskFull } from "../runtime/paths.ts";
import { partOf, stateOf } from "./model_places.ts";

/** What tells whether a part is one of the file that is wanted now. */
const partState = z.object({
  size: z.number(),
  sha256: z.string().nullable(),
  /** That of the server that sent the bytes; for `If-Range`. */
  etag: z.string().nullable(),
  /** What the whole file was found to have, where nobody told. */
  found: z.string().optional(),
});

/** What tells whether a part is one of the file that is wanted now. */
export type PartState = z.infer<typeof partState>;

/** The part of one file; disposing lets go of it and keeps it. */
export class Part implements AsyncDisposable {
  readonly path: string;
  readonly #file: Deno.FsFile;
  #hash: Hash = createHash("sha256");
  #bytes = 0;
  #state: PartState;
  #unsynced = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();

  private constructor(path: string, file: Deno.FsFile, state: PartState) {
    this.path = path;
    this.#file = file;
    this.#state = state;
  }

  /**
   * Opens the part of the file at `path` and takes up what is there when it is of the same file. Waits while another hive
   * has it. Returns undefined when the file itself is there; one that is known to be another one makes room. Throws what
   * the system says, and the signal's reason.
   */
  static async open(
    path: string,
    wanted: Omit<PartState, "etag" | "found">,
    signal: AbortSignal,
  ): Promise<Part | undefined> {
    const file = await openLocked(partOf(path), signal);
    try {
      if (await hasFile(path, wanted.size) && await isAnother(path, wanted)) await Deno.remove(path);
      if (await hasFile(path, wanted.size)) {
        // whoever had it before us has finished it
        await Deno.remove(partOf(path)).catch(() => {});
        file.close();
        return undefined;
      }
      const known = await readState(path);
      const isSame = known !== undefined && known.size === wanted.size && known.sha256 === wanted.sha256 &&
        (known.sha256 !== null || known.etag !== null);
      const part = new Part(path, file, { ...wanted, etag: isSame ? known.etag : null });
      if (isSame) await part.#takeUp(signal);
      else await part.restart(null);
      return part;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** How many bytes are here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What is known of the file. */
  get state(): PartState {
    return this.#state;
  }

  /** Throws away what is here. `etag` is that of the bytes that come next. */
  async restart(etag: string | null): Promise<void> {
    await this.#writing.catch(() => {});
    // ext4 takes all of a file that was ever cut to its disk when somebody closes it, and holds us up meanwhile.
    if ((await this.#file.stat()).size > 0) await this.#file.truncate(0);
    await this.#file.seek(0, Deno.SeekMode.Start);
    this.#hash = createHash("sha256");
    this.#bytes = 0;
    await this.tag(etag);
  }

  /** Remembers which version of the file the bytes are of. */
  async tag(etag: string | null): Promise<void> {
    await this.#note({ ...this.#state, etag });
  }

  async #note(state: PartState): Promise<void> {
    this.#state = state;
    const temporary = `${stateOf(this.path)}.tmp`;
    await onDisk(this.path, async () => {
      await Deno.writeTextFile(temporary, JSON.stringify(this.#state), { mode: 0o600 });
      await Deno.rename(temporary, stateOf(this.path));
    });
  }

  /**
   * Takes bytes, which must not be changed until the next call has resolved: they are written while others come.
   * Throws `DISK_FULL` and what the system says.
   */
  async add(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    await this.#writing;
    this.#writing = onDisk(this.path, async () => {
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    });
    this.#writing.catch(() => {}); // told by the next call
    this.#unsynced += bytes.length;
    if (this.#unsynced < limits.downloadSyncBytes) return;
    this.#unsynced = 0;
    await this.#syncing;
    this.#syncing = onDisk(this.path, () => this.#file.syncData());
    this.#syncing.catch(() => {}); // told by the next call
  }

  /** Resolves when everything that was added is written. */
  async settle(): Promise<void> {
    await this.#writing;
    await this.#syncing;
  }

  /** Resolves when it is on the disk too: else a file system may do that when any reader closes the file. */
  async sync(): Promise<void> {
    await this.settle();
    if (this.#unsynced === 0) return;
    this.#unsynced = 0;
    await onDisk(this.path, () => this.#file.syncData());
  }

  /** Returns the digest of what is here, 64 hex digits. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  /** Makes the part the file, so that it lasts. What is known of it stays beside it until a row knows it. */
  async finish(): Promise<void> {
    await this.sync();
    if (this.#state.sha256 === null) await this.#note({ ...this.#state, found: this.digest() });
    await onDisk(this.path, async () => {
      await this.#file.sync();
      await Deno.rename(partOf(this.path), this.path);
      await syncFolder(this.path.slice(0, this.path.lastIndexOf("/")));
    });
  }

  /** Removes it. */
  async discard(): Promise<void> {
    await this.#writing.catch(() => {});
    for (const path of [partOf(this.path), stateOf(this.path)]) await Deno.remove(path).catch(() => {});
  }

  /** Hashes what is there, in pieces that hold nobody up. */
  async #takeUp(signal: AbortSignal): Promise<void> {
    const { size } = await this.#file.stat();
    if (size > this.#state.size) return await this.restart(null);
    const buffer = new Uint8Array(limits.downloadHashPieceBytes);
    await this.#file.seek(0, Deno.SeekMode.Start);
    for (let n: number | null; (n = await this.#file.read(buffer)) !== null;) {
      signal.throwIfAborted();
      this.#hash.update(buffer.subarray(0, n));
      this.#bytes += n;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settle().catch(() => {}); // said by `add`
    // Of a download to which nothing came nothing stays; whoever waits for the part makes a new one.
    if (this.#bytes === 0 && await isStillAt(partOf(this.path), this.#file)) await this.discard();
    this.#file.close();
  }
}

/** The lock ends with whoever holds it, however that ends. The file may be renamed while we wait: then it is another one. */
async function openLocked(path: string, signal: AbortSignal): Promise<Deno.FsFile> {
  for (;;) {
    const file = await onDisk(path, () => Deno.open(path, { read: true, write: true, create: true, mode: 0o600 }));
    try {
      if (file.tryLockSync(true) && await isStillAt(path, file)) return file;
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
    await sleep(limits.downloadLockLookMs, signal);
  }
}

async function isStillAt(path: string, file: Deno.FsFile): Promise<boolean> {
  const [there, ours] = await Promise.all([Deno.stat(path).catch(() => undefined), file.stat()]);
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev;
}

/** Whether a whole file of that size is there: only what was verified gets its name. */
export async function hasFile(path: string, size: number): Promise<boolean> {
  const info = await Deno.stat(path).catch(() => undefined);
  return info !== undefined && info.isFile && info.size === size;
}

/** Whether a file that lies there is known to have another digest: the hub has a newer one of the same length. */
async function isAnother(path: string, { size, sha256 }: { size: number; sha256: string | null }): Promise<boolean> {
  const known = await readState(path);
  const digest = known?.sha256 ?? known?.found;
  return known?.size === size && digest !== undefined && sha256 !== null && digest !== sha256;
}

/** Returns how many bytes of a file are here, whole or in part. */
export async function bytesHere(path: string, size: number): Promise<number> {
  if (await hasFile(path, size)) return size;
  const info = await Deno.stat(partOf(path)).catch(() => undefined);
  return Math.min(size, info?.size ?? 0);
}

async function readState(path: string): Promise<PartState | undefined> {
  try {
    return partState.parse(JSON.parse(await Deno.readTextFile(stateOf(path))));
  } catch {
    return undefined; // a part that nobody knows anything of begins anew
  }
}

/** Makes the names in a folder last. */
async function syncFolder(path: string): Promise<void> {
  using folder = await Deno.open(path);
  await folder.sync();
}

/** Runs it. Throws `DISK_FULL` or `HOME_NOT_WRITABLE` for what the disk says. */
async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const full = isDiskFull(cause);
    throw new RbeeError(full ? "DISK_FULL" : "HOME_NOT_WRITABLE", {
      message: full
        ? `Cannot write ${path}: the disk is full; what came so far is kept`
        : `Cannot write ${path}: ${(cause as Error).message}`,
      details: { path },
      hint: full ? "Free space (`rbee models rm`), then run the command again: it goes on from there" : undefined,
      cause,
    });
  }
}
