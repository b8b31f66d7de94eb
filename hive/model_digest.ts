/**
 * The one digest of a model, from those of its files: hubs, peers and the catalog must come to the same one.
 *
 * @module
 */
import { createHash } from "node:crypto";

/**
 * Returns the digest of a model (`sha256:…`) from those of its files (64 hex digits each): of one file its own, of several
 * that of their digests, one a line; null when there is none or one of them is unknown.
 */
export function digestOf(files: readonly (string | null)[]): string | null {
  if (files.length === 0 || files.some((digest) => digest === null)) return null;
  if (files.length === 1) return `sha256:${files[0]}`;
  return `sha256:${createHash("sha256").update(files.join("\n")).digest("hex")}`;
}

/** The same of files whose digests have their `sha256:` in front. */
export function modelDigest(files: readonly { readonly digest: string | null }[]): string | null {
  return digestOf(files.map(({ digest }) => digest?.replace("sha256:", "") ?? null));
}
