/**
 * A cheap look at the first bytes of a model file, so that what is no GGUF file at all is refused before a worker is
 * started for it. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";

/** How many bytes `checkGguf` wants: magic, version, number of tensors, number of metadata entries. */
export const ggufHeadBytes = 24;

const countMax = 1_000_000n;
/** The shortest that an entry can be: an empty name and one byte; a tensor of one dimension without a name. */
const metadataBytesMin = 13n;
const tensorBytesMin = 32n;

/**
 * Returns nothing when the head can be that of a whole GGUF file of this size. Throws `MODEL_LOAD_FAILED` for a damaged
 * or cut file, `MODEL_INCOMPATIBLE` for a version that nothing here reads.
 */
export function checkGguf(head: Uint8Array, file: { path: string; sizeBytes: number }): void {
  if (head.length < ggufHeadBytes || file.sizeBytes < ggufHeadBytes) throw damaged(file, "it is cut off");
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getUint32(0) !== 0x47475546) throw damaged(file, "it is no GGUF file");
  const version = view.getUint32(4, true);
  if (version !== 2 && version !== 3) {
    const bigEndian = view.getUint32(4) <= 3;
    throw new RbeeError("MODEL_INCOMPATIBLE", {
      message: bigEndian
        ? `Cannot use ${file.path}: it was made for big-endian machines`
        : `Cannot use ${file.path}: GGUF version ${version} is not supported`,
      details: { path: file.path, version },
      hint: "Use a GGUF file of version 2 or 3",
    });
  }
  const tensors = view.getBigUint64(8, true);
  const entries = view.getBigUint64(16, true);
  if (tensors === 0n || tensors > countMax || entries > countMax) throw damaged(file, "its header is damaged");
  const least = BigInt(ggufHeadBytes) + tensors * tensorBytesMin + entries * metadataBytesMin;
  if (BigInt(file.sizeBytes) < least) throw damaged(file, "it is cut off");
}

function damaged(file: { path: string; sizeBytes: number }, why: string): RbeeError {
  return new RbeeError("MODEL_LOAD_FAILED", {
    message: `Cannot load ${file.path}: ${why}`,
    details: { path: file.path, size_bytes: file.sizeBytes },
  });
}
