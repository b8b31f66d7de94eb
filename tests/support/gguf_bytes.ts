/**
 * The bytes that GGUF files are made of, for tests that write some: numbers in little-endian order, texts with their length
 * in front, pieces put together.
 *
 * @module
 */

/** Where tensors begin: at multiples of this. */
export const alignment = 32;

/** Returns a number rounded up to the alignment. */
export const upwards = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** Returns bytes, filled up to the alignment. */
export function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(upwards(bytes.length));
  whole.set(bytes);
  return whole;
}

/** Returns a number of 2 bytes. */
export const u16 = (value: number): Uint8Array => new Uint8Array(new Uint16Array([value]).buffer);
/** Returns a number of 4 bytes. */
export const u32 = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer);
/** Returns a number of 8 bytes. */
export const u64 = (value: number): Uint8Array => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);

/** Returns a text with its length in front. */
export function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return joined([u64(bytes.length), bytes]);
}

/** Returns pieces as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Writes all of it. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
