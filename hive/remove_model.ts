/**
 * Takes a model away: its row always, its files when they are rbee's own, and what broken downloads of it left.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { type ModelRef, printModelRef, refOfRecord } from "../protocol/model.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import { basename, dirname } from "../runtime/path.ts";
import type { CatalogRow } from "./catalog.ts";
import { walkFolder } from "./folder_walk.ts";
import { quantOfName, splitOf } from "./model_names.ts";
import { placeOf } from "./model_places.ts";
import { keyOf, notHere } from "./model_row.ts";
import type { Models } from "./models.ts";
import { sidecarOf } from "./sidecar.ts";

/** What keeps a model from being removed. */
export interface ModelUse {
  /** References of the workers that are there. */
  readonly workers: () => readonly string[];
}

type Removed = AnswerOf<typeof hiveRoutes.removeModel>;

/**
 * Removes the model that a reference, an alias or a catalog id names. Returns what became of it: `kept` are files that
 * are not rbee's. Throws `MODEL_NOT_FOUND`, `MODEL_AMBIGUOUS`, `MODEL_IN_USE`, `ACCESS_DENIED`.
 */
export async function removeModel(models: Models, text: string, use: ModelUse): Promise<Removed> {
  const { ref, row } = await models.named(text);
  const model_ref = row ? refOfRecord(row) : printModelRef(ref!);
  return await models.turns.run(row ? keyOf(row) : model_ref, async () => {
    const now = row && models.catalog.byId(row.id);
    const removed: Removed = { model_ref, removed_bytes: 0, kept: [] };
    if (now) {
      if (models.isUsed(now, use.workers())) throw inUse(model_ref, "a worker has it");
      await removeFiles(models, now, removed);
      models.catalog.remove(now.id);
    }
    const leftBytes = ref ? await removeLeftovers(models, ref, { isAll: !now }) : 0;
    if (!now && leftBytes === undefined) throw notHere(model_ref);
    removed.removed_bytes += leftBytes ?? 0;
    return removed;
  });
}

function inUse(ref: string, why: string, hint?: string): RbeeError {
  return new RbeeError("MODEL_IN_USE", {
    message: `Cannot remove ${ref}: ${why}`,
    details: { model_ref: ref },
    ...(hint && { hint }),
  });
}

/** The last file first: while the first is there the row is true, or can be made again, and a second try goes on. */
async function removeFiles(models: Models, row: CatalogRow, removed: Removed): Promise<void> {
  const paths = row.files.length > 0 ? row.files.map(({ path }) => path) : [row.local_path];
  for (const path of paths.toReversed()) {
    if (!row.owned || !await liesIn(models.folder, path)) {
      if (row.provider !== "builtin" || !await isGone(path)) removed.kept.unshift(path);
      continue;
    }
    removed.removed_bytes += await removeFile(path) ?? 0;
    for (const beside of [sidecarOf(path), `${path}.part.json`, `${path}.part`]) await removeFile(beside);
    await removeEmptyFolders(models.folder, dirname(path));
  }
}

async function isGone(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => false, (error) => error instanceof Deno.errors.NotFound);
}

/** Whether a file lies below the folder, whatever its path says: a link on the way leads elsewhere. */
async function liesIn(folder: string, path: string): Promise<boolean> {
  try {
    return `${await Deno.realPath(dirname(path))}/`.startsWith(`${folder}/`);
  } catch {
    return false; // gone with its folder
  }
}

/** Returns the length of the file that is gone now; undefined when none was there. A link is removed, not followed. */
async function removeFile(path: string): Promise<number | undefined> {
  try {
    const info = await Deno.lstat(path);
    if (info.isDirectory) return undefined;
    await Deno.remove(path);
    return info.size;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new RbeeError("ACCESS_DENIED", {
      message: `Cannot remove ${path}: ${(cause as Error).message}`,
      details: { path },
      hint: `Make ${dirname(path)} writable for the user that runs rbee`,
      cause,
    });
  }
}

/** Removes a model whose bytes were found damaged, so that it can come again; what is not rbee's own stays. */
export async function discardDamaged(models: Models, ref: ModelRef): Promise<void> {
  const row = models.rowOf(ref);
  if (!row?.damaged) return;
  await models.turns.run(keyOf(row), async () => {
    const now = models.catalog.byId(row.id);
    if (!now?.damaged) return;
    await removeFiles(models, now, { model_ref: refOfRecord(now), removed_bytes: 0, kept: [] });
    models.catalog.remove(now.id);
  });
}

/** The folders of the providers stay. */
async function removeEmptyFolders(root: string, folder: string): Promise<void> {
  for (let at = folder; dirname(at) !== root && at.startsWith(`${root}/`); at = dirname(at)) {
    try {
      await Deno.remove(at);
    } catch {
      return; // there is something in it
    }
  }
}

/**
 * Returns how many bytes of broken downloads of that reference were removed; undefined when there were none. When they are
 * all that there is of it, one that is under way is `MODEL_IN_USE`; else it is left alone.
 */
async function removeLeftovers(
  models: Models,
  ref: ModelRef,
  { isAll }: { isAll: boolean },
): Promise<number | undefined> {
  const folder = leftoverFolder(models.folder, ref);
  if (folder === undefined || !await liesIn(models.folder, folder)) return undefined;
  let bytes: number | undefined;
  const bounds = { entriesMax: limits.modelFolderEntriesMax, depthMax: limits.modelFolderDepthMax };
  const rows = ref.provider === "hf" ? models.catalog.variants("hf", `${ref.org}/${ref.repo}`) : [];
  const known = new Set(rows.flatMap(({ files }) => files.map(({ path }) => path)));
  for await (const { path, relative, isSymlink } of walkFolder(folder, bounds)) {
    const file = relative.replace(/\.part(\.json(\.tmp)?)?$|\.rbee\.json(\.[0-9a-f]{8}\.tmp)?$/, "");
    const isLeft = !isSymlink && !known.has(path) && (file !== relative || splitOf(file) !== undefined);
    if (!isLeft || !isMeant(ref, file)) continue;
    if (file !== relative && relative.endsWith(".rbee.json") && !await isGone(`${folder}/${file}`)) continue;
    if (await isLocked(`${folder}/${file}.part`)) {
      if (!isAll) continue;
      throw inUse(printModelRef(ref), "it is being downloaded", "Wait for its end, or end what fetches it with Ctrl+C");
    }
    bytes = (bytes ?? 0) + (await removeFile(path) ?? 0);
    await removeEmptyFolders(models.folder, dirname(path));
  }
  return bytes;
}

/** Whoever downloads holds its part, also when that is another hive. */
async function isLocked(part: string): Promise<boolean> {
  try {
    using file = await Deno.open(part);
    return !file.tryLockSync(true);
  } catch {
    return false; // none, or nobody's that we could ask
  }
}

function leftoverFolder(root: string, ref: ModelRef): string | undefined {
  if (ref.provider === "hf") return `${root}/hf/${ref.org}/${ref.repo}`;
  if (ref.provider !== "http") return undefined;
  return `${root}/${dirname(placeOf(ref, "any"))}`;
}

/** `file` begins with the revision's folder. */
function isMeant(ref: ModelRef, file: string): boolean {
  if (ref.provider !== "hf" || ref.variant === undefined) return true;
  const inRepository = file.slice(file.indexOf("/") + 1);
  return inRepository === ref.variant || basename(file) === ref.variant ||
    quantOfName(file)?.toLowerCase() === ref.variant.toLowerCase();
}
