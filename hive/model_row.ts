/**
 * What a catalog row is to the rest of the hive: facts for a queen, a key, refusals.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import {
  type ModelFacts,
  type ModelName,
  type ModelRecord,
  type ModelRef,
  type ModelShape,
  printModelRef,
  refOfRecord,
} from "../protocol/model.ts";
import { basename } from "../runtime/path.ts";
import type { CatalogRow, ModelFile } from "./catalog.ts";

/** A model that a worker can be started with. */
export interface LocalModel {
  /** The canonical reference. */
  readonly ref: string;
  /** The real path of the file, of the first one of a split model. */
  readonly path: string;
  /** All of its files, the first one first. */
  readonly files: readonly ModelFile[];
  readonly sizeBytes: number;
  /** What its header tells of its size in memory. */
  readonly shape: ModelShape | null;
  /** Changes when the file does; what is remembered of a model hangs on it. */
  readonly fingerprint: string;
}

/** Returns the model that a row is, under the reference that it was asked for by. */
export function localModel(ref: ModelRef, row: CatalogRow): LocalModel {
  const { local_path, size_bytes, shape } = row;
  // A row of a former rbee whose disk does not answer now: the worker will say what is wrong with it.
  const unread = { name: basename(local_path), path: local_path, size: size_bytes, mtime: 0, digest: null };
  const files = row.files.length > 0 ? row.files : [unread];
  const [{ path, size, mtime }] = files;
  const fingerprint = row.digest ?? `${path}:${size}:${mtime}`;
  return { ref: printModelRef(ref), path, files, sizeBytes: size_bytes, shape, fingerprint };
}

/** Returns the row as everybody may see it. */
export function recordOf(row: CatalogRow): ModelRecord {
  const { files, owned: _owned, shape: _shape, ...record } = row;
  const below = row.provider === "hf" ? row.local_path.split(`/hf/${row.reference}/`).at(-1)! : "";
  const folder = below.split("/").slice(1, -1).map((part) => `${part}/`).join("");
  const listed = files.map(({ name, size, digest }) => ({ path: folder + name, size_bytes: size, digest }));
  return { ...record, files: listed };
}

/** Returns what two names of one model have in common: the key of its turns. */
export function keyOf({ provider, reference }: ModelName): string {
  return `${provider}:${reference}`;
}

/** Returns what a queen places a model by. */
export function factsOfRow(row: CatalogRow): ModelFacts {
  const { size_bytes, digest, quantization, shape } = row;
  return { ref: refOfRecord(row), size_bytes, digest, quantization, shape };
}

/** Returns the refusal of a model whose bytes are not what they should be. */
export function damaged(ref: ModelRef, row: CatalogRow): RbeeError {
  const text = printModelRef(ref);
  const canFetch = ref.provider === "hf" || ref.provider === "http";
  return new RbeeError("MODEL_LOAD_FAILED", {
    message: `Cannot load ${text}: its file is damaged`,
    details: { model_ref: text, path: row.local_path },
    hint: canFetch
      ? `Fetch it again: rbee models pull ${text}`
      : `Replace the file, or forget it: rbee models rm ${text}`,
  });
}

/** Returns the refusal of a model that this machine does not have. */
export function notHere(text: string): RbeeError {
  const canFetch = !text.startsWith("import:");
  return new RbeeError("MODEL_NOT_FOUND", {
    message: `Cannot find ${text}: it is not on this machine`,
    details: { model_ref: text },
    hint: canFetch ? `Fetch it: rbee models pull ${text}` : "See what there is: rbee models list",
  });
}
