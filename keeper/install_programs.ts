/**
 * The programs of a build in a bin folder: copied beside their targets, verified, and only then renamed, so that
 * whatever fails before leaves the old version as it was.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";
import { digestFile } from "../runtime/digest.ts";
import { join } from "../runtime/path.ts";
import { runOnce } from "../runtime/process.ts";
import { installedManifest, type Manifest, type ManifestFile, readManifest } from "../runtime/shipped.ts";
import { notOurs, writeError } from "./install_errors.ts";

/** What became of one file. */
export type State = "new" | "replaced" | "kept" | "removed";

/** One file in the bin folder. */
export interface Placed {
  readonly name: string;
  readonly state: State;
}

/** How to place. */
export interface PlaceOptions {
  readonly bin: string;
  /** Replace files that no installation put there. */
  readonly force: boolean;
  readonly signal: AbortSignal;
  /** Told of each file before it is copied. */
  readonly onCopy: (name: string, bytes: number) => void;
}

const programs = ["rbee-keeper", "queen-rbee", "rbee-hive", "llm-worker-rbee"];

/** The other name of `rbee-keeper`, a link. */
export const linkName = "rbee";

/**
 * Brings the bin folder (which must be there) up to what the manifest of `source` names and returns what was done, the
 * link `rbee` last. Throws `EXECUTABLES_NOT_FOUND`, `CHECKSUM_MISMATCH`, `FILE_NOT_OURS`, `DISK_FULL`,
 * `HOME_NOT_WRITABLE`; then nothing was replaced.
 */
export async function placePrograms(
  source: { folder: string; manifest: Manifest },
  options: PlaceOptions,
): Promise<Placed[]> {
  const { bin, signal } = options;
  checkWhole(source);
  using _lock = await lockFolder(bin, signal);
  await removeParts(bin);
  const before = (await readManifest(bin).catch(() => undefined))?.manifest;
  const plan = await look(source.manifest, before, options);
  const staged = plan.filter(({ state }) => state !== "kept").map(({ name }) => name);
  try {
    if (!await isSameFolder(source.folder, bin)) { for (const name of staged) await stage(name, source, options); }
    else if (staged.length > 0) throw damaged(join(bin, staged[0]), source.manifest.files[staged[0]]);
    signal.throwIfAborted();
    for (const name of staged) await Deno.rename(part(bin, name), join(bin, name));
    await replaceText(join(bin, installedManifest), JSON.stringify(source.manifest, null, 2) + "\n");
    const link = await replaceLink(bin);
    return [...plan, ...await removeOld(bin, { before, now: source.manifest }), link];
  } catch (error) {
    signal.throwIfAborted();
    throw writeError(error, bin);
  } finally {
    await removeParts(bin);
  }
}

/** A build that misses one of the four programs would leave an installation that cannot work. */
function checkWhole({ folder, manifest }: { folder: string; manifest: Manifest }): void {
  const gone = programs.filter((name) => !Object.hasOwn(manifest.files, name));
  if (gone.length === 0) return;
  throw new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot install: the manifest in ${folder} does not name ${gone.join(", ")}`,
    details: { folder, missing: gone },
  });
}

/** Two installations at once: the second waits. The lock is on the folder itself, so that no file of it is left. */
async function lockFolder(bin: string, signal: AbortSignal): Promise<Disposable> {
  const folder = await Deno.open(bin);
  for (const until = performance.now() + limits.installLockMs; !await folder.tryLock(true);) {
    if (performance.now() > until) {
      folder.close();
      throw new RbeeError("TIMEOUT", {
        message: `Cannot install: another installation into ${bin} goes on since ${limits.installLockMs / 1_000} s`,
      });
    }
    await sleep(limits.installLockLookMs, signal);
  }
  return folder;
}

/** Returns what has to be done with each program, and refuses before anything is done. */
async function look(manifest: Manifest, before: Manifest | undefined, options: PlaceOptions): Promise<Placed[]> {
  const plan: Placed[] = [];
  const foreign: string[] = [];
  for (const [name, file] of Object.entries(manifest.files)) {
    const path = join(options.bin, name);
    const there = await Deno.lstat(path).catch(() => undefined);
    if (!there) plan.push({ name, state: "new" });
    else if (there.isFile && await isFile(path, file, options.signal)) {
      await Deno.chmod(path, 0o755).catch(() => {}); // somebody else's, and right as it is
      plan.push({ name, state: "kept" });
    } else {
      // One that an installation put there is ours also when it is damaged: installing again mends it.
      const ours = there.isFile && before !== undefined && Object.hasOwn(before.files, name);
      if (!ours) foreign.push(path);
      plan.push({ name, state: "replaced" });
    }
  }
  if (await linkState(options.bin) === "foreign") foreign.push(join(options.bin, linkName));
  if (foreign.length > 0 && !options.force) throw notOurs(foreign);
  return plan;
}

/** Returns whether a file is the one of the manifest. */
export async function isFile(path: string, file: ManifestFile, signal?: AbortSignal): Promise<boolean> {
  try {
    if ((await Deno.stat(path)).size !== file.size) return false;
    return (await digestFile(path, signal)).sha256 === file.sha256;
  } catch {
    signal?.throwIfAborted();
    return false; // it cannot be read
  }
}

async function stage(
  name: string,
  { folder, manifest }: { folder: string; manifest: Manifest },
  { bin, signal, onCopy }: PlaceOptions,
): Promise<void> {
  const from = join(folder, name);
  const to = part(bin, name);
  const file = manifest.files[name];
  onCopy(name, file.size);
  signal.throwIfAborted();
  if (!await Deno.stat(from).then((info) => info.isFile, () => false)) {
    throw new RbeeError("EXECUTABLES_NOT_FOUND", {
      message: `Cannot install ${name}: ${from} is missing`,
      details: { path: from },
    });
  }
  await Deno.copyFile(from, to);
  // The copy is looked at and not the source: that finds a disk that lies as well.
  if (!await isFile(to, file, signal)) throw damaged(from, file);
  await Deno.chmod(to, 0o755);
  using copy = await Deno.open(to, { write: true });
  await copy.syncData();
}

function damaged(path: string, file: ManifestFile): RbeeError {
  return new RbeeError("CHECKSUM_MISMATCH", {
    message: `Cannot install ${path}: it is not the file that its manifest names`,
    details: { path, size: file.size, sha256: file.sha256 },
    hint: "Make it anew in the checkout: deno task compile",
  });
}

const part = (bin: string, name: string) => join(bin, `.${name}.rbee-part`);

/** Those of an installation that was killed as well: the lock says that nobody else is at work here. */
async function removeParts(bin: string): Promise<void> {
  for await (const { name } of Deno.readDir(bin)) {
    if (name.endsWith(".rbee-part")) await Deno.remove(join(bin, name)).catch(() => {});
  }
}

async function isSameFolder(one: string, other: string): Promise<boolean> {
  return await Deno.realPath(one) === await Deno.realPath(other);
}

async function replaceText(path: string, text: string): Promise<void> {
  const temporary = `${path}.rbee-part`;
  await Deno.writeTextFile(temporary, text, { mode: 0o644 });
  await Deno.rename(temporary, path);
}

/** Returns what stands at the link's place. */
export async function linkState(bin: string): Promise<"missing" | "ours" | "foreign"> {
  const path = join(bin, linkName);
  if (!await Deno.lstat(path).catch(() => undefined)) return "missing";
  return await Deno.readLink(path).catch(() => "") === "rbee-keeper" ? "ours" : "foreign";
}

async function replaceLink(bin: string): Promise<Placed> {
  const state = await linkState(bin);
  if (state === "ours") return { name: linkName, state: "kept" };
  await Deno.symlink("rbee-keeper", part(bin, linkName));
  await Deno.rename(part(bin, linkName), join(bin, linkName));
  return { name: linkName, state: state === "missing" ? "new" : "replaced" };
}

/** A variant of the worker that this build does not have would be of another version than its hive. */
async function removeOld(bin: string, { before, now }: { before?: Manifest; now: Manifest }): Promise<Placed[]> {
  const removed: Placed[] = [];
  for (const [name, file] of Object.entries(before?.files ?? {})) {
    if (Object.hasOwn(now.files, name) || !await isFile(join(bin, name), file)) continue;
    await Deno.remove(join(bin, name));
    await Deno.remove(join(bin, `.${name}`), { recursive: true }).catch(() => {}); // it was never started
    removed.push({ name, state: "removed" });
  }
  return removed;
}

/**
 * Lets each worker unpack its libraries, once and here: workers that start together would all write the same files.
 * What older versions unpacked is removed. Throws `WORKER_START_FAILED`.
 */
export async function warmWorkers(
  placed: readonly Placed[],
  { bin, signal }: { bin: string; signal: AbortSignal },
): Promise<void> {
  for (const { name, state } of placed) {
    if (!name.startsWith("llm-worker-rbee") || state === "removed") continue;
    const unpacked = join(bin, `.${name}`);
    if (state !== "kept") await Deno.remove(unpacked, { recursive: true }).catch(() => {}); // there was none
    const output = await runOnce(join(bin, name), ["--version"], { timeoutMs: limits.unpackMs, signal });
    signal.throwIfAborted();
    if (output?.code !== 0) {
      throw new RbeeError("WORKER_START_FAILED", {
        message: `Cannot start ${name}: ${output?.stderr.trim().split("\n").at(-1) || "it ends at once"}`,
        details: { path: join(bin, name), exit_code: output?.code ?? null },
        hint: `Run it by hand: ${join(bin, name)} --version`,
      });
    }
    await openToAll(unpacked);
  }
}

/** Whoever installs with a strict umask still installs for those who may run the programs. */
async function openToAll(folder: string): Promise<void> {
  for (const entry of await Array.fromAsync(Deno.readDir(folder)).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) await openToAll(path);
    else if (entry.isFile) await Deno.chmod(path, 0o644);
  }
  await Deno.chmod(folder, 0o755).catch(() => {}); // nothing was unpacked here
}
