/**
 * Keeps a row true to what lies on disk.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { Catalog, CatalogRow } from "./catalog.ts";
import { readModel, stateOfFiles } from "./model_file.ts";

/**
 * Returns the row as its files are now: what has changed is read anew and has lost its digests. Undefined when the files
 * are gone, and the model is forgotten.
 */
export async function refreshRow(catalog: Catalog, row: CatalogRow): Promise<CatalogRow | undefined> {
  const state = await stateOfFiles(row);
  if (state === "unknown" || state === "same" && (row.shape || row.damaged)) return row;
  // It may have been removed, or have come again, meanwhile.
  const isCurrent = () => catalog.byId(row.id)?.local_path === row.local_path;
  if (!isCurrent()) return row;
  if (state === "gone") return void catalog.remove(row.id);
  try {
    // A row without a shape is that of another version of rbee: its files are the same, and so are their digests.
    const digests = state === "same"
      ? row.files.flatMap(({ name, digest }) => digest ? [[name, digest] as const] : [])
      : [];
    const read = await readModel(row.local_path, new Map(digests));
    return isCurrent() ? catalog.put({ ...row, ...read, damaged: false }) : row;
  } catch (error) {
    if (!(error instanceof RbeeError) || error.code === "ACCESS_DENIED") return row;
    if (error.code === "MODEL_NOT_FOUND") return void catalog.remove(row.id);
    return row.damaged || !isCurrent() ? { ...row, damaged: true } : catalog.put({ ...row, damaged: true });
  }
}
