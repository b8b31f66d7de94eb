/**
 * What a catalog row is to the rest of the hive: facts for a queen, a key, refusals.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { type ModelFacts, type ModelName, type ModelRef, printModelRef, refOfRecord } from "../protocol/model.ts";
import type { CatalogRow } from "./catalog.ts";

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
