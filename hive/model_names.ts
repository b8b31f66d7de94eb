/**
 * What the names of model files tell: quantization, and which files belong together. Pure.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { basename, dirname } from "../runtime/path.ts";
import { quantizationOf } from "./hub_listing.ts";

/** Returns the quantization that a file's name tells, or else that of its folder, in capitals: `Q4_K_M`. */
export function quantOfName(path: string): string | undefined {
  return quantizationOf(path) ?? undefined;
}

/** What the name of one file of a split model tells. */
export interface Split {
  /** The name without number and ending. */
  readonly stem: string;
  /** From 1. */
  readonly number: number;
  readonly count: number;
}

/** Returns it; undefined for the name of a whole model. */
export function splitOf(path: string): Split | undefined {
  const match = basename(path).match(/^(.+)-(\d{5})-of-(\d{5})\.gguf$/);
  if (!match) return undefined;
  const [number, count] = [Number(match[2]), Number(match[3])];
  const isOne = count >= 1 && count <= limits.splitFilesMax && number >= 1 && number <= count;
  return isOne ? { stem: match[1], number, count } : undefined;
}

/** Returns the paths of all files of the model that this file belongs to, the first one first. */
export function filesOfModel(path: string): string[] {
  const split = splitOf(path);
  if (!split) return [path];
  const five = (n: number) => String(n).padStart(5, "0");
  return Array.from(
    { length: split.count },
    (_, at) => `${dirname(path)}/${split.stem}-${five(at + 1)}-of-${five(split.count)}.gguf`,
  );
}

/** Where a file of a hub's repository lies below the models folder: `hf/<org>/<repo>/<revision>/<file>`. */
export interface HubPlace {
  readonly repository: string;
  /** Undefined for the main branch. */
  readonly revision?: string;
  /** Its path in the repository. */
  readonly file: string;
}

/** Returns it for a path that is relative to the models folder; undefined when it lies elsewhere. */
export function hubPlaceOf(relative: string): HubPlace | undefined {
  const [place, org, repo, revision, ...file] = relative.split("/");
  if (place !== "hf" || file.length === 0) return undefined;
  const pinned = revision === mainRevision ? undefined : revision.replaceAll("~", "/");
  return { repository: `${org}/${repo}`, revision: pinned, file: file.join("/") };
}

const mainRevision = "main";

/**
 * Returns a hub's variant as the catalog writes it, whatever way a person did: a quantization in capitals, and the main
 * branch not at all. `path` is that of the first file.
 */
export function canonicalVariant(variant: string, path: string): string {
  const [name, revision] = variant.split("@");
  const quant = quantOfName(path);
  const canonical = quant && name.toLowerCase() === quant.toLowerCase() ? quant : name;
  return revision === undefined || revision === mainRevision ? canonical : `${canonical}@${revision}`;
}

/** Returns a revision as the catalog knows it: undefined for that of the main branch. */
export function pinnedRevision(revision: string | undefined): string | undefined {
  return revision === mainRevision ? undefined : revision;
}
