/**
 * Enters what lies in the models folder and stands in no row: after a damaged catalog was moved aside, and after a hive
 * that was killed between a download's last step and its row.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type ModelName, refOfRecord } from "../protocol/model.ts";
import type { Log } from "../runtime/log.ts";
import { dirname } from "../runtime/path.ts";
import { walkFolder } from "./folder_walk.ts";
import { removeUnfinished } from "./import_place.ts";
import { filesOfModel, hubPlaceOf, quantOfName, splitOf } from "./model_names.ts";
import { keyOf } from "./model_row.ts";
import type { Models } from "./models.ts";
import { digestsBeside, readSidecar, writeSidecar } from "./sidecar.ts";

const bounds = { entriesMax: limits.modelFolderEntriesMax, depthMax: limits.modelFolderDepthMax };

/** Returns how many models were entered. Never rejects: what cannot be entered stays where it is, and the log tells. */
export async function enterWhatLies(models: Models, log: Pick<Log, "info" | "warn">): Promise<number> {
  let entered = 0;
  const { folder } = models;
  const known = new Set(models.catalog.list().map(({ local_path }) => local_path));
  for await (const { path, relative, isSymlink } of walkFolder(folder, bounds)) {
    if (!isSymlink && await removeUnfinished(path)) continue;
    // Links are nobody's that rbee made; later files of a split model come with their first one.
    if (isSymlink || !path.endsWith(".gguf") || known.has(path) || (splitOf(path)?.number ?? 1) !== 1) continue;
    try {
      if (await enterFile(models, path, relative)) entered++;
    } catch (error) {
      log.warn("a file of the models folder is no model", { path, code: (error as RbeeError).code, error });
    }
  }
  if (entered > 0) log.info("entered models that lay in the folder and in no row", { models: entered, folder });
  return entered;
}

/** Returns whether it was entered. */
async function enterFile(models: Models, path: string, relative: string): Promise<boolean> {
  const sidecar = await readSidecar(path);
  const name = sidecar ?? nameOfPlace(models, relative);
  if (!name) return false;
  const digests = await digestsBeside(filesOfModel(path));
  const mtime = (await Deno.stat(path)).mtime?.getTime() ?? Date.now();
  const downloadedAtUnix = sidecar?.downloaded_at_unix ?? Math.floor(mtime / 1_000);
  return await models.turns.run(keyOf(name), async () => {
    if (models.catalog.byPath(path).some(({ provider }) => provider === name.provider)) return false;
    if (sidecar && models.catalog.find(name)) return false; // another version of it, which has replaced this one
    const row = await models.enter(name, { path, owned: true, digests, downloadedAtUnix });
    if (!sidecar && digests.size > 0) await writeSidecar(row);
    return true;
  });
}

/** Returns the name of a model by its place; undefined where the place tells none: an address is no folder's name. */
function nameOfPlace(models: Models, relative: string): ModelName | undefined {
  const name = nameOfHubPlace(models, relative) ?? nameOfImport(relative);
  try {
    if (name) models.parse(refOfRecord(name));
    return name;
  } catch {
    return undefined; // nobody could ask for it
  }
}

function nameOfHubPlace({ catalog }: Models, relative: string): ModelName | undefined {
  const hub = hubPlaceOf(relative);
  if (!hub) return undefined;
  const at = hub.revision === undefined ? "" : `@${hub.revision}`;
  const quant = quantOfName(hub.file);
  const isTaken = catalog.variants("hf", hub.repository).some(({ variant }) => variant === `${quant}${at}`);
  return { provider: "hf", reference: hub.repository, variant: `${quant && !isTaken ? quant : hub.file}${at}` };
}

function nameOfImport(path: string): ModelName | undefined {
  const split = splitOf(path);
  const relative = split ? `${dirname(path)}/${split.stem}` : path;
  const [place, ...rest] = relative.replace(/\.gguf$/, "").split("/");
  if (place !== "import" || rest.length === 0) return undefined;
  if (rest.length === 1) return { provider: "import", reference: rest[0] };
  return { provider: "import", reference: rest.slice(0, -1).join("/"), variant: rest.at(-1) };
}
