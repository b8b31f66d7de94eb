/** What a build left in its folder: the manifest that others read, and the record that makes the next build short. */
import { digestFile } from "../runtime/digest.ts";
import { builtManifest, type Manifest, type ManifestFile } from "../runtime/shipped.ts";
import { fromRoot, sha256Hex, textOrNull } from "./files.ts";
import type { Program } from "./programs.ts";

/** What the last build of one executable was made from. */
export interface BuildRecord {
  /** The checkout's files that went in, relative. */
  readonly inputs: readonly string[];
  /** Digest over those files and every setting. */
  readonly digest: string;
  /** The executable's own entry of the manifest. */
  readonly file: ManifestFile;
}

const RECORDS = ".build.json";

/** Returns the records of the last build in this folder by executable, empty when there was none. */
export async function readRecords(out: string): Promise<Record<string, BuildRecord>> {
  const text = await textOrNull(`${out}/${RECORDS}`);
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return {};
  }
}

/** Returns the digest of inputs and settings, or null when an input is gone (then it has to be built anew). */
export async function digestInputs(inputs: readonly string[], settings: string): Promise<string | null> {
  const parts: string[] = [settings];
  try {
    for (const path of inputs) parts.push(path, sha256Hex(await Deno.readFile(fromRoot(path))));
  } catch {
    return null;
  }
  return sha256Hex(parts.join("\n"));
}

/** Returns true when the executable on disk is the one of that record, told by its size. */
export async function isOnDisk(out: string, program: Program, record: BuildRecord): Promise<boolean> {
  return await Deno.stat(`${out}/${program.name}`).then(({ size }) => size === record.file.size, () => false);
}

/** Returns the manifest's entry for a finished executable. */
export async function describe(path: string, backend: string): Promise<ManifestFile> {
  const { sha256, size } = await digestFile(path);
  return { sha256, size, backend };
}

/** Writes the records, after each executable: a build that fails later begins there the next time. */
export async function writeRecords(out: string, records: Readonly<Record<string, BuildRecord>>): Promise<void> {
  await replaceText(`${out}/${RECORDS}`, JSON.stringify(records));
}

/** Writes the manifest over these records, in one step. */
export async function writeManifest(
  out: string,
  records: Readonly<Record<string, BuildRecord>>,
  what: { version: string; platform: string },
): Promise<void> {
  const files = Object.fromEntries(Object.entries(records).map(([name, record]) => [name, record.file]));
  const manifest: Manifest = { ...what, backend: "cpu", files };
  await replaceText(`${out}/${builtManifest}`, JSON.stringify(manifest, null, 2) + "\n");
}

async function replaceText(path: string, text: string): Promise<void> {
  const part = `${path}.${Deno.pid}.part`;
  await Deno.writeTextFile(part, text);
  await Deno.rename(part, path);
}
