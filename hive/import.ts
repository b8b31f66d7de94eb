/**
 * Takes models that are on this machine already into the catalog: a GGUF file, a folder of them, an Ollama folder, a
 * Hugging Face cache.
 *
 * @module
 */
import type * as z from "zod";
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import type { modelsImported } from "../protocol/hive_models.ts";
import { limits } from "../protocol/limits.ts";
import { type ModelRecord, refOfRecord } from "../protocol/model.ts";
import { basename } from "../runtime/path.ts";
import type { CatalogRow } from "./catalog.ts";
import { type Candidate, type Finding, isSkipped, type Skipped, whyUnreadable } from "./import_candidate.ts";
import { ggufCandidate, ggufFolder, importedName } from "./import_gguf.ts";
import { cachedModels, cachedRepositories } from "./import_hub_cache.ts";
import { ollamaFolder, ollamaModels } from "./import_ollama.ts";
import { placeFiles } from "./import_place.ts";
import { readModel } from "./model_file.ts";
import { keyOf, recordOf } from "./model_row.ts";
import type { Models } from "./models.ts";
import { readSidecar, writeSidecar } from "./sidecar.ts";
import type { Waiter } from "./verify.ts";

/** What an import took, and what it did not. */
export type Imported = z.infer<typeof modelsImported>;

/**
 * Returns what is to be imported from a path; nothing is read yet. Throws `INVALID_REQUEST` for a path that is not
 * absolute, `MODEL_NOT_FOUND`, `ACCESS_DENIED`.
 */
export async function importFrom(path: string): Promise<AsyncIterable<Finding>> {
  const clean = path.replace(/(?<=.)\/+$/, "");
  // deno-lint-ignore no-control-regex -- control characters are what it looks for
  if (!clean.startsWith("/") || /[\u0000-\u001f\u007f]/.test(clean)) {
    throw new RbeeError("INVALID_REQUEST", {
      message: "Cannot import: the path must be absolute, without control characters",
      hint: "Give a path that begins with /",
    });
  }
  const info = await lookAt(clean);
  if (info.isFile) return only(ggufCandidate(clean));
  if (!info.isDirectory) throw notThere(clean, "it is neither a file nor a folder");
  const ollama = await ollamaFolder(clean);
  if (ollama !== undefined) return ollamaModels(ollama);
  const repositories = await cachedRepositories(clean);
  return repositories.length > 0 ? cachedModels(repositories) : ggufFolder(clean);
}

async function lookAt(path: string): Promise<Deno.FileInfo> {
  try {
    const info = await Deno.stat(path);
    // A folder that may not be read has no entries for whoever looks into it.
    if (info.isDirectory) { for await (const _entry of Deno.readDir(path)) break; }
    return info;
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw notThere(path, whyUnreadable(error));
    throw new RbeeError("ACCESS_DENIED", {
      message: `Cannot open ${path}: permission denied`,
      details: { path },
      hint: "Make it readable for the user that runs rbee on that machine",
      cause: error,
    });
  }
}

function notThere(path: string, why: string): RbeeError {
  return new RbeeError("MODEL_NOT_FOUND", {
    message: `Cannot import ${path}: ${why}`,
    details: { path },
    hint: "Give the path of a GGUF file, an Ollama folder or a Hugging Face cache of that machine",
  });
}

async function* only(candidate: Candidate): AsyncGenerator<Finding> {
  yield await Promise.resolve(candidate);
}

/**
 * Takes what was found, one after the other. Returns what is in the catalog now, and what was left with its reason.
 * Throws what kept the only one from being taken, and the signal's reason.
 */
export async function importModels(models: Models, found: AsyncIterable<Finding>, waiter: Waiter): Promise<Imported> {
  const taken = new Map<string, ModelRecord>();
  const skipped: Skipped[] = [];
  const errors: RbeeError[] = [];
  let untold = 0;
  const skip = (one: Skipped) => skipped.length < limits.importSkippedMax ? void skipped.push(one) : void untold++;
  await models.ready();
  await Deno.mkdir(models.folder, { recursive: true, mode: 0o700 }).catch(() => {}); // told when it is written to
  for await (const finding of found) {
    waiter.signal.throwIfAborted();
    if (taken.size >= limits.importModelsMax) {
      skip({
        path: isSkipped(finding) ? finding.path : finding.source,
        reason: `${taken.size} models are enough at once`,
      });
      break;
    }
    if (isSkipped(finding)) skip(finding);
    else {
      try {
        const row = await models.turns.run(keyOf(finding.name), () => take(models, finding, waiter));
        taken.set(row.id, recordOf(row));
      } catch (error) {
        waiter.signal.throwIfAborted();
        const told = toRbeeError(error);
        errors.push(told);
        skip({ path: finding.source, reason: told.message.replace(/^Cannot \w+ \S+: /, "") });
      }
    }
  }
  if (untold > 0) skipped.push({ path: "…", reason: `and ${untold} more` });
  if (taken.size === 0 && errors.length === 1 && skipped.length === 1) throw errors[0];
  return { models: [...taken.values()], skipped };
}

async function take(models: Models, candidate: Candidate, waiter: Waiter): Promise<CatalogRow> {
  const root = models.folder;
  const first = await Deno.realPath(candidate.files[0].from).catch(() => candidate.files[0].from);
  const [lying] = first.startsWith(`${root}/`) ? models.catalog.byPath(first) : [];
  if (lying) return lying;
  // A broken file must not take the name of a good one.
  const read = await readModel(candidate.files[0].from, digestsFor(candidate));
  const named = candidate.mayBeRenamed ? await freeName(models, candidate) : candidate;
  const target = `${root}/${named.files[0].to}`;
  const known = models.catalog.find(named.name);
  if (known && !known.damaged && known.local_path === target && await isSame(known, read, named)) {
    return await models.refresh(known) ?? await place(models, named, waiter);
  }
  if (known && !known.damaged && known.provider === "hf" && await models.refresh(known)) throw otherVersion(known);
  return await place(models, named, waiter);
}

/** What a cache has may be older than what was fetched since. */
function otherVersion(known: CatalogRow): RbeeError {
  const ref = refOfRecord(known);
  return new RbeeError("INVALID_REQUEST", {
    message: `Cannot import ${ref}: another version of it is here already`,
    details: { model_ref: ref, path: known.local_path },
    hint: `To have this one remove that one first: rbee models rm ${ref}`,
  });
}

function digestsFor({ files, digest }: Candidate): Map<string, string> {
  return new Map(digest ? [[basename(files[0].from), digest]] : []);
}

async function place(models: Models, candidate: Candidate, waiter: Waiter): Promise<CatalogRow> {
  const root = models.folder;
  const moves = await Promise.all(
    candidate.files.map(async ({ from, to }) => ({ from: await Deno.realPath(from), to: `${root}/${to}` })),
  );
  const copied = await placeFiles(moves, { root, digest: candidate.digest, waiter });
  const digests = new Map([...copied].map(([to, digest]) => [basename(to), digest]));
  if (candidate.digest) digests.set(basename(moves[0].to), candidate.digest);
  const row = await models.enter(candidate.name, { path: moves[0].to, owned: true, digests });
  await writeSidecar(row, candidate.source);
  return row;
}

/** Whether what lies there already is what would be put there. */
async function isSame(
  known: CatalogRow,
  read: { files: CatalogRow["files"]; digest: string | null },
  candidate: Candidate,
): Promise<boolean> {
  if (known.files.length !== read.files.length) return false;
  if (known.digest !== null && known.digest === read.digest) return true;
  const before = await readSidecar(known.local_path);
  const wasTaken = before?.source === candidate.source;
  for (const [at, file] of known.files.entries()) {
    const [mine, theirs] = await Promise.all([Deno.stat(file.path), Deno.stat(read.files[at].path)]).catch(() => []);
    if (!mine || !theirs) return false;
    const isLinked = mine.ino !== null && mine.ino === theirs.ino && mine.dev === theirs.dev;
    const isCopied = wasTaken && mine.size === theirs.size && (theirs.mtime ?? 0) <= (mine.mtime ?? 0);
    if (!isLinked && !isCopied) return false;
  }
  return true;
}

/** Two files of one name are two models; the same file again, or its newer form, is the one that it was. */
async function freeName(models: Models, candidate: Candidate): Promise<Candidate> {
  const ino = async (path: string) => await Deno.stat(path).then(({ ino, dev }) => `${dev}:${ino}`, () => undefined);
  const mine = await ino(candidate.files[0].from);
  for (let n = 1; n <= namesMax; n++) {
    const reference = n === 1 ? candidate.name.reference : `${candidate.name.reference}-${n}`;
    const count = candidate.files.length;
    const files = candidate.files.map(({ from }, at) => ({
      from,
      to: `import/${importedName(reference, { at, count })}`,
    }));
    const target = `${models.folder}/${files[0].to}`;
    const theirs = await ino(target);
    const isMine = theirs === undefined && !models.catalog.find({ ...candidate.name, reference }) || theirs === mine ||
      (await readSidecar(target))?.source === candidate.source;
    if (isMine) return { ...candidate, name: { ...candidate.name, reference }, files };
  }
  throw new RbeeError("INVALID_REQUEST", {
    message: `Cannot import ${candidate.source}: ${namesMax} models have that name`,
    hint: "Rename the file",
  });
}

const namesMax = 100;
