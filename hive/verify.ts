/**
 * Reads every byte of a model again and compares it with what the hub or the import told.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { RbeeError } from "../protocol/error.ts";
import type { modelVerified } from "../protocol/hive_models.ts";
import { limits } from "../protocol/limits.ts";
import { refOfRecord } from "../protocol/model.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import type * as z from "zod";
import type { CatalogRow, ModelFile } from "./catalog.ts";
import { modelDigest } from "./model_digest.ts";
import { readModel } from "./model_file.ts";
import { keyOf, notHere } from "./model_row.ts";
import type { Models } from "./models.ts";
import { Steps } from "./progress_steps.ts";
import { digestsBeside, writeSidecar } from "./sidecar.ts";

/** Who waits for something long, and how it is told. */
export interface Waiter {
  readonly signal: AbortSignal;
  readonly tell: (progress: ProgressEvent) => Promise<void>;
}

/** What became of it. */
export type Verified = z.infer<typeof modelVerified>;

/**
 * Returns the row that a reference, an alias or a catalog id names, for `verifyModel`; a `file:` model is entered first.
 * Throws `MODEL_NOT_FOUND`, and as `Models.row` does.
 */
export async function rowToVerify(models: Models, text: string): Promise<CatalogRow> {
  const { ref, row } = await models.named(text);
  if (row) return row;
  if (ref?.provider === "file" || ref?.provider === "builtin") return await models.row(ref);
  const found = ref && await models.row(ref); // throws when it is not here
  if (found) return found;
  throw notHere(text);
}

/**
 * Returns whether the bytes are what they should be. What is damaged is marked and not used any more; where nobody told a
 * digest the one that was found is kept. Throws the signal's reason.
 */
export async function verifyModel(models: Models, row: CatalogRow, waiter: Waiter): Promise<Verified> {
  const model_ref = refOfRecord(row);
  const missing = () => {
    models.catalog.remove(row.id);
    return { model_ref, result: "missing", digest: row.digest } as const;
  };
  let current: CatalogRow;
  try {
    // What has changed since its header was read has lost its digest, and a header that says nothing now is damage.
    const fresh = await models.refresh(row);
    if (!fresh) return { model_ref, result: "missing", digest: row.digest };
    current = fresh;
    await readModel(current.local_path);
  } catch (error) {
    if (!(error instanceof RbeeError) || error.code === "ACCESS_DENIED") throw error;
    if (error.code === "MODEL_NOT_FOUND") return missing();
    return settle(models, row, { model_ref, result: "damaged", digest: row.digest });
  }
  let files: ModelFile[];
  try {
    files = await digestFiles(current.files, waiter);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return missing();
    throw error;
  }
  const expected = await digestsToldOf(current);
  const isDamaged = expected.some((digest, at) => digest !== null && digest !== files[at].digest);
  const wasKnown = expected.every((digest) => digest !== null);
  const digest = modelDigest(files);
  if (isDamaged) return settle(models, current, { model_ref, result: "damaged", digest });
  if (current.digest === null) await keep(models, current, files);
  else if (current.damaged) models.catalog.put({ ...current, damaged: false });
  return { model_ref, result: wasKnown ? "ok" : "unknown-digest", digest };
}

/** What a file that was written to has lost in its row still stands beside the model, when it is rbee's own. */
async function digestsToldOf(row: CatalogRow): Promise<(string | null)[]> {
  const isBeside = row.owned && row.provider !== "builtin" && row.digest === null;
  const beside = isBeside ? await digestsBeside(row.files.map(({ path }) => path)) : undefined;
  return row.files.map(({ name, digest }) => digest ?? beside?.get(name) ?? null);
}

function settle(models: Models, row: CatalogRow, verified: Verified): Verified {
  const now = models.catalog.byId(row.id);
  if (now && now.local_path === row.local_path && !now.damaged) models.catalog.put({ ...now, damaged: true });
  return verified;
}

/** Keeps the digests that were found, unless the files changed while they were read. */
async function keep(models: Models, row: CatalogRow, files: ModelFile[]): Promise<void> {
  await models.turns.run(keyOf(row), async () => {
    const now = models.catalog.byId(row.id);
    if (!now || JSON.stringify(now.files) !== JSON.stringify(row.files)) return;
    const put = models.catalog.put({ ...now, files, digest: modelDigest(files), damaged: false });
    if (put.owned && put.provider !== "builtin") await writeSidecar(put);
  });
}

async function digestFiles(files: readonly ModelFile[], waiter: Waiter): Promise<ModelFile[]> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const steps = new Steps("verifying", total, waiter.tell);
  const done: ModelFile[] = [];
  const buffer = new Uint8Array(limits.modelPieceBytes);
  for (const file of files) {
    const hash = createHash("sha256");
    using open = await Deno.open(file.path);
    for (let n: number | null; (n = await open.read(buffer)) !== null;) {
      waiter.signal.throwIfAborted();
      hash.update(buffer.subarray(0, n));
      await steps.add(file.name, n);
    }
    done.push({ ...file, digest: `sha256:${hash.digest("hex")}` });
  }
  await steps.end();
  return done;
}
