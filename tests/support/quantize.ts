/**
 * Writes a GGUF model anew with its weights in another type, by the formulas of ggml (`quantize_row_*_ref` of
 * ggml-quants.c, block layouts of ggml-common.h):
 *
 * - F16: each number as IEEE half.
 * - Q8_0: 32 numbers share a half `d = max|x| / 127`; each is a byte `round(x / d)`.
 * - Q4_0: 32 numbers share a half `d = m / -8`, where `m` is the number of the largest magnitude, sign kept; each is four
 *   bits `min(15, floor(x / d + 8.5))`, the first 16 in the low halves of 16 bytes, the others in the high ones.
 *
 * Only matrices change; vectors (norms) stay as they are.
 *
 * @module
 */
import { type GgufHeader, type GgufTensor, readGgufHeader } from "../../native/gguf.ts";
import { joined, padded, text, u32, u64, upwards, writeAll } from "./gguf_bytes.ts";

/** The types that can be written; the same can be read, and F32. */
export type WeightType = "F16" | "Q8_0" | "Q4_0";

/** ggml's number of a type, its `general.file_type`, and what 32 numbers take in bytes. */
const types: Readonly<Record<WeightType, { type: number; fileType: number; blockBytes: number }>> = {
  F16: { type: 1, fileType: 1, blockBytes: 64 },
  Q8_0: { type: 8, fileType: 7, blockBytes: 34 },
  Q4_0: { type: 2, fileType: 2, blockBytes: 18 },
};

const perBlock = 32;
const numberType = 4;

/** Writes the model `from` to the file `to` with matrices of that type. Throws for a model with other types than these. */
export async function quantize(from: string, to: string, weights: WeightType): Promise<void> {
  const header = await readGgufHeader(from);
  using source = await Deno.open(from);
  using target = await Deno.open(to, { write: true, create: true, truncate: true });
  await writeAll(target, await headerOf(source, header, weights));
  for (const tensor of header.tensors) {
    const bytes = await readAt(source, header.dataStart + tensor.offset, tensor.bytes);
    await writeAll(target, padded(changes(tensor) ? encode(decode(bytes, tensor.type), weights) : bytes));
  }
}

const changes = ({ dimensions }: GgufTensor) => dimensions.length > 1;

async function headerOf(source: Deno.FsFile, header: GgufHeader, weights: WeightType): Promise<Uint8Array> {
  const { type, fileType, blockBytes } = types[weights];
  const pairs: Uint8Array[] = [];
  for (const [key, { start, end }] of header.metadata) {
    if (key !== "general.file_type") pairs.push(await readAt(source, start, end - start));
  }
  pairs.push(joined([text("general.file_type"), u32(numberType), u32(fileType)]));
  const places: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of header.tensors) {
    const isNew = changes(tensor);
    const { name, dimensions } = tensor;
    places.push(
      text(name),
      u32(dimensions.length),
      ...dimensions.map(u64),
      u32(isNew ? type : tensor.type),
      u64(offset),
    );
    offset += upwards(isNew ? tensor.elements / perBlock * blockBytes : tensor.bytes);
  }
  const start = [new TextEncoder().encode("GGUF"), u32(3), u64(header.tensors.length), u64(pairs.length)];
  return padded(joined([...start, ...pairs, ...places]));
}

function decode(bytes: Uint8Array, type: number): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (type === 0) return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
  if (type === 1) return Float32Array.from({ length: bytes.length / 2 }, (_, i) => view.getFloat16(i * 2, true));
  if (type !== 8) throw new Error(`Cannot read tensor type ${type} here`);
  const numbers = new Float32Array(bytes.length / 34 * perBlock);
  for (let block = 0, at = 0; block < bytes.length; block += 34) {
    const scale = view.getFloat16(block, true);
    for (let i = 0; i < perBlock; i++) numbers[at++] = scale * view.getInt8(block + 2 + i);
  }
  return numbers;
}

function encode(numbers: Float32Array, weights: WeightType): Uint8Array {
  const { blockBytes } = types[weights];
  const bytes = new Uint8Array(numbers.length / perBlock * blockBytes);
  const view = new DataView(bytes.buffer);
  const write = { F16: writeF16, Q8_0: writeQ8, Q4_0: writeQ4 }[weights];
  for (let at = 0, block = 0; at < numbers.length; at += perBlock, block += blockBytes) {
    write(view, block, numbers.subarray(at, at + perBlock));
  }
  return bytes;
}

function writeF16(view: DataView, at: number, numbers: Float32Array): void {
  for (let i = 0; i < perBlock; i++) view.setFloat16(at + i * 2, numbers[i], true);
}

function writeQ8(view: DataView, at: number, numbers: Float32Array): void {
  let largest = 0;
  for (const x of numbers) largest = Math.max(largest, Math.abs(x));
  const scale = largest / 127;
  view.setFloat16(at, scale, true);
  for (let i = 0; i < perBlock; i++) view.setInt8(at + 2 + i, scale === 0 ? 0 : Math.round(numbers[i] / scale));
}

function writeQ4(view: DataView, at: number, numbers: Float32Array): void {
  let largest = 0;
  for (const x of numbers) if (Math.abs(x) > Math.abs(largest)) largest = x;
  const scale = largest / -8;
  view.setFloat16(at, scale, true);
  const four = (x: number) => scale === 0 ? 8 : Math.min(15, Math.floor(x / scale + 8.5));
  for (let i = 0; i < 16; i++) view.setUint8(at + 2 + i, four(numbers[i]) | four(numbers[i + 16]) << 4);
}

async function readAt(file: Deno.FsFile, offset: number, length: number): Promise<Uint8Array> {
  await file.seek(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const got = await file.read(bytes.subarray(filled));
    if (got === null) throw new Error("Cannot read the model: it ends early");
    filled += got;
  }
  return bytes;
}
