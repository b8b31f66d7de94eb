/**
 * The digest of a file, read in pieces.
 *
 * @module
 */
import { createHash } from "node:crypto";

const pieceBytes = 1024 * 1024;

/** Returns the SHA-256 (64 hex digits) and the size in bytes of a file. Throws what the system says, and the signal's reason. */
export async function digestFile(path: string, signal?: AbortSignal): Promise<{ sha256: string; size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  using file = await Deno.open(path);
  const buffer = new Uint8Array(pieceBytes);
  for (let n: number | null; (n = await file.read(buffer)) !== null;) {
    signal?.throwIfAborted();
    hash.update(buffer.subarray(0, n));
    size += n;
  }
  return { sha256: hash.digest("hex"), size };
}
