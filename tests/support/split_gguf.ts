/**
 * Splits `builtin:tiny` into several files, as `llama-gguf-split` does: all metadata stands in the first one, and each
 * says which of how many it is.
 *
 * @module
 */
import { readGgufHeader } from "../../native/gguf.ts";
import { tinyGguf } from "../../native/tiny.ts";
import { fromFileUrl, join } from "../../runtime/path.ts";
import { joined, padded, u16, u32, u64, upwards } from "./gguf_bytes.ts";

interface TensorPiece {
  /** Name, dimensions and type as they stand in the header. */
  readonly head: Uint8Array;
  readonly data: Uint8Array;
}

/** Writes the files and returns their paths in order. */
export async function splitTiny(folder: string, count: number, stem = "tiny"): Promise<string[]> {
  const path = fromFileUrl(tinyGguf());
  const bytes = await Deno.readFile(path);
  const { metadata, dataStart, tensors } = await readGgufHeader(path);
  const pairs = [...metadata.values()].map(({ start, end }) => bytes.subarray(start, end));
  const pieces = tensorPieces(bytes, {
    at: Math.max(...[...metadata.values()].map(({ end }) => end)),
    dataStart,
    count: tensors.length,
  });
  const each = Math.ceil(pieces.length / count);
  await Deno.mkdir(folder, { recursive: true });
  return await Promise.all(Array.from({ length: count }, async (_none, no) => {
    const five = (n: number) => String(n).padStart(5, "0");
    const file = join(folder, `${stem}-${five(no + 1)}-of-${five(count)}.gguf`);
    const own = [pair("split.no", 2, u16(no)), pair("split.count", 2, u16(count))];
    own.push(pair("split.tensors.count", 5, u32(pieces.length)));
    const all = no === 0 ? [...pairs, ...own] : own;
    await Deno.writeFile(file, fileOf(all, pieces.slice(no * each, (no + 1) * each)));
    return file;
  }));
}

function tensorPieces(bytes: Uint8Array, from: { at: number; dataStart: number; count: number }): TensorPiece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const found: { head: Uint8Array; offset: number }[] = [];
  let at = from.at;
  for (let i = 0; i < from.count; i++) {
    const start = at;
    at += 8 + Number(view.getBigUint64(at, true));
    at += 4 + 8 * view.getUint32(at, true) + 4;
    found.push({ head: bytes.subarray(start, at), offset: Number(view.getBigUint64(at, true)) });
    at += 8;
  }
  const starts = found.map(({ offset }) => offset).sort((a, b) => a - b);
  return found.map(({ head, offset }) => {
    const end = starts.find((one) => one > offset) ?? bytes.length - from.dataStart;
    return { head, data: bytes.subarray(from.dataStart + offset, from.dataStart + end) };
  });
}

function fileOf(pairs: readonly Uint8Array[], tensors: readonly TensorPiece[]): Uint8Array {
  const heads: Uint8Array[] = [];
  let offset = 0;
  for (const { head, data } of tensors) {
    heads.push(head, u64(offset));
    offset += upwards(data.length);
  }
  const magic = new TextEncoder().encode("GGUF");
  const header = padded(joined([magic, u32(3), u64(tensors.length), u64(pairs.length), ...pairs, ...heads]));
  return joined([header, ...tensors.map(({ data }) => padded(data))]);
}

function pair(key: string, type: number, value: Uint8Array): Uint8Array {
  const name = new TextEncoder().encode(key);
  return joined([u64(name.length), name, u32(type), value]);
}
