/**
 * The executables that this build can hand to others: to this machine's bin folder, or to another machine. A manifest
 * beside them says what they must be.
 *
 * @module
 */
import * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import { executableFolder } from "./executables.ts";
import { fromFileUrl, join } from "./path.ts";
import { IS_COMPILED, PLATFORM } from "./version.ts";

/** One executable: SHA-256 as 64 hex digits, size in bytes, and the libraries it carries. */
export interface ManifestFile {
  readonly sha256: string;
  readonly size: number;
  readonly backend: string;
}

/** What lies beside the executables; whoever ships them checks size and digest against it. */
export interface Manifest {
  readonly version: string;
  /** `linux-x64`, `macos-arm64`, … */
  readonly platform: string;
  /** The backend of `llm-worker-rbee`; variants name theirs in their entry. */
  readonly backend: string;
  /** By file name: the four programs and variants of the worker, nothing else. */
  readonly files: Readonly<Record<string, ManifestFile>>;
}

/** The manifest's name in a build's folder. */
export const builtManifest = "manifest.json";

/** Its name in a bin folder, which other programs share. */
export const installedManifest = ".rbee-manifest.json";

/** Names become paths: whatever else a manifest names, it is none of ours. */
const programFile = /^(rbee-keeper|queen-rbee|rbee-hive|llm-worker-rbee(-[a-z0-9]{1,16})?)$/;

const word = z.string().regex(/^[\w.+-]{1,64}$/);

const schema = z.object({
  version: word,
  platform: word,
  backend: word,
  files: z.record(
    z.string().regex(programFile),
    z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().min(0), backend: word }),
  ),
});

/** Returns the manifest that a text holds, or undefined when it holds none. */
export function parseManifest(text: string): Manifest | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined; // no JSON, or something else's manifest
  }
}

/** Returns where this build's executables lie: beside this one; from source, `dist/<platform>` of the checkout. */
export function shippedFolder(): string {
  return IS_COMPILED ? executableFolder() : fromFileUrl(new URL(`../dist/${PLATFORM}`, import.meta.url));
}

/**
 * Returns the manifest of a folder and that folder; this build's own by default. Throws `EXECUTABLES_NOT_FOUND` when
 * there is none, or none that can be understood.
 */
export async function readManifest(folder: string = shippedFolder()): Promise<{ folder: string; manifest: Manifest }> {
  for (const name of [installedManifest, builtManifest]) {
    const path = join(folder, name);
    const text = await Deno.readTextFile(path).catch(() => undefined);
    const manifest = text === undefined ? undefined : parseManifest(text);
    if (manifest) return { folder, manifest };
  }
  throw missing(folder, `${folder} holds no manifest of rbee`);
}

/**
 * Returns this build's folder and its manifest: what can be installed here or shipped to another machine. Whether the
 * files are still what the manifest says is for the one who copies them. Throws `EXECUTABLES_NOT_FOUND`.
 */
export async function shippedFiles(): Promise<{ folder: string; manifest: Manifest }> {
  return await readManifest();
}

function missing(folder: string, why: string): RbeeError {
  return new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot find the executables: ${why}`,
    details: { folder },
  });
}
