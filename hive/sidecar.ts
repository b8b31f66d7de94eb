/**
 * What is written beside a model that rbee keeps, so that its row can be made again from the folder alone:
 * `<first file>.rbee.json`. A download's own notes (`<file>.part.json`) serve until that is written.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "../protocol/limits.ts";
import { basename } from "../runtime/path.ts";
import type { CatalogRow } from "./catalog.ts";
import { stateOf } from "./model_places.ts";

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const text = z.string().max(limits.modelRefCharsMax);

/** Schema of the file. */
const sidecarFile = z.object({
  provider: z.enum(["hf", "http", "import"]),
  reference: text,
  variant: text,
  downloaded_at_unix: z.number().int().min(0),
  /** Where an imported file came from. */
  source: text.optional(),
  files: z.array(z.object({ name: text, digest: digest.nullable() })).max(limits.splitFilesMax),
});

/** What stands beside a model. */
export type Sidecar = z.infer<typeof sidecarFile>;

/** What a download's notes tell at least. */
const downloadNotes = z.object({ size: z.number(), sha256: z.string().nullable(), found: z.string().optional() });

/** Returns the path of the sidecar of a model with that first file. */
export function sidecarOf(path: string): string {
  return `${path}.rbee.json`;
}

/**
 * Writes what its row says beside a model, in place of a download's notes; a disk that does not take it costs a digest
 * later, not the model now.
 */
export async function writeSidecar(row: CatalogRow, source?: string): Promise<void> {
  const { provider, reference, variant, downloaded_at_unix } = row;
  const files = row.files.map(({ name, digest }) => ({ name, digest }));
  const path = sidecarOf(row.local_path);
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    const content = JSON.stringify({ provider, reference, variant, downloaded_at_unix, source, files });
    await Deno.writeTextFile(temporary, content, { mode: 0o600 });
    await Deno.rename(temporary, path);
  } catch {
    await Deno.remove(temporary).catch(() => {}); // it may not have come to be
    return;
  }
  for (const file of row.files) await Deno.remove(stateOf(file.path)).catch(() => {}); // imported, or removed before
}

/** Returns what stands beside a model; undefined when nothing does, or nothing that can be read. */
export async function readSidecar(path: string): Promise<Sidecar | undefined> {
  return sidecarFile.safeParse(await readJson(sidecarOf(path))).data;
}

/** Returns what stands beside a model's files of their digests, `sha256:<hex>` by their names. The first file first. */
export async function digestsBeside(paths: readonly string[]): Promise<Map<string, string>> {
  const digests = digestsOf(await readSidecar(paths[0]));
  for (const path of paths) {
    const told = await digestOfNotes(path);
    if (told) digests.set(basename(path), told);
  }
  return digests;
}

/** Returns the digest that the notes of a download tell of the file that it became. */
async function digestOfNotes(path: string): Promise<string | undefined> {
  const told = downloadNotes.safeParse(await readJson(stateOf(path))).data;
  const info = await Deno.stat(path).catch(() => undefined);
  if (!told || told.size !== info?.size) return undefined;
  return digest.safeParse(`sha256:${told.sha256 ?? told.found}`).data;
}

async function readJson(path: string): Promise<unknown> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isFile || info.size > limits.sidecarBytesMax) return undefined;
    return JSON.parse(await Deno.readTextFile(path));
  } catch {
    return undefined; // none, or half written by somebody else
  }
}

/** Returns the digests that a sidecar tells, by the files' names. */
function digestsOf(sidecar: Sidecar | undefined): Map<string, string> {
  return new Map(sidecar?.files.flatMap((file) => file.digest ? [[basename(file.name), file.digest]] : []));
}
