/**
 * Finds GGUF files to import: one that was named, or those of a folder.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { basename } from "../runtime/path.ts";
import { walkFolder } from "./folder_walk.ts";
import { type Candidate, fileWithin, type Finding } from "./import_candidate.ts";
import { filesOfModel, splitOf } from "./model_names.ts";

/** Returns the model that a GGUF file is, or belongs to. */
export function ggufCandidate(path: string): Candidate {
  const split = splitOf(path);
  const reference = nameFrom(split?.stem ?? basename(path).replace(/\.gguf$/i, ""));
  const sources = filesOfModel(path);
  return {
    source: sources[0],
    name: { provider: "import", reference },
    files: sources.map((from, at) => ({
      from,
      to: `import/${importedName(reference, { at, count: sources.length })}`,
    })),
    mayBeRenamed: true,
  };
}

/** Returns the name of one file of an imported model. */
export function importedName(reference: string, file: { at: number; count: number }): string {
  const five = (n: number) => String(n).padStart(5, "0");
  return file.count === 1 ? `${reference}.gguf` : `${reference}-${five(file.at + 1)}-of-${five(file.count)}.gguf`;
}

/** A person's file may be called anything; what a model is called is typed, and becomes a path. */
function nameFrom(stem: string): string {
  return stem.replaceAll(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, nameCharsMax) || "model";
}

const nameCharsMax = 120;

/** Yields the models of a folder: its files that are called `*.gguf`, and what is wrong with some of them. */
export async function* ggufFolder(folder: string): AsyncGenerator<Finding> {
  const root = await Deno.realPath(folder);
  const walk = walkFolder(root, { entriesMax: limits.importEntriesMax, depthMax: folderDepthMax });
  let isEmpty = true;
  for (let next = await walk.next();; next = await walk.next()) {
    if (next.done) {
      if (next.value) {
        yield { path: folder, reason: `it has more than ${limits.importEntriesMax} entries, or is too deep` };
      } else if (isEmpty) yield { path: folder, reason: "it has no file that is called *.gguf" };
      return;
    }
    const { path, isSymlink } = next.value;
    if (!/\.gguf$/i.test(path) || (splitOf(path)?.number ?? 1) !== 1) continue;
    isEmpty = false;
    const within = isSymlink ? await fileWithin(root, path) : undefined;
    if (within && "reason" in within) yield { path, reason: within.reason };
    else yield ggufCandidate(path);
  }
}

const folderDepthMax = 6;
