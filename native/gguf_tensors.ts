/**
 * The list of tensors in a GGUF header: their names, types and places, checked against each other and the file's size.
 *
 * @module
 */
import { damagedGguf, type GgufReader, hostileGguf } from "./gguf_reader.ts";
import { tensorTypes } from "./gguf_types.ts";

/** One tensor's place. */
export interface GgufTensor {
  readonly name: string;
  readonly elements: number;
  /** Their product is `elements`; the first is the length of a row. */
  readonly dimensions: readonly number[];
  /** Number of its ggml type. */
  readonly type: number;
  /** Relative to `dataStart`. */
  readonly offset: number;
  /** What it takes in the file, without padding. */
  readonly bytes: number;
}

/** What llama.cpp takes: its own constants, and a margin above the largest models that there are. */
export const tensorBounds = Object.freeze({ tensorsMax: 65_536, nameBytesMax: 63, dimensionsMax: 4, typeMax: 255 });

type Listed = Omit<GgufTensor, "bytes">;

/** Returns the tensors as listed; what they take follows from the whole list. */
export async function readTensors(reader: GgufReader, count: number): Promise<Listed[]> {
  const tensors: Listed[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const tensor = await readTensor(reader);
    if (names.has(tensor.name)) throw hostileGguf("its header is damaged (two tensors of one name)");
    names.add(tensor.name);
    tensors.push(tensor);
  }
  return tensors;
}

async function readTensor(reader: GgufReader): Promise<Listed> {
  reader.keep(128);
  const name = await reader.text(tensorBounds.nameBytesMax);
  const count = await reader.number();
  if (count < 1 || count > tensorBounds.dimensionsMax) {
    throw hostileGguf(`its header is damaged (a tensor of ${count} dimensions)`);
  }
  const dimensions: number[] = [];
  for (let d = 0; d < count; d++) {
    dimensions.push(await reader.count(Number.MAX_SAFE_INTEGER, "elements of a tensor"));
  }
  const elements = dimensions.reduce((product, size) => product * size, 1);
  // llama.cpp divides by them.
  if (elements < 1 || elements > Number.MAX_SAFE_INTEGER) {
    throw hostileGguf(`its header is damaged (${elements} elements of a tensor)`);
  }
  const type = await reader.number();
  if (type > tensorBounds.typeMax) throw hostileGguf(`its header is damaged (tensor type ${type})`);
  return {
    name,
    elements,
    dimensions,
    type,
    offset: await reader.count(Number.MAX_SAFE_INTEGER, "bytes before a tensor"),
  };
}

/**
 * Returns the tensors with what they take. They must follow each other without a gap, as llama.cpp has it; the last one
 * must end inside of the file.
 */
export function placeTensors(
  listed: readonly Listed[],
  file: { readonly dataStart: number; readonly sizeBytes: number; readonly alignment: number },
): GgufTensor[] {
  const dataBytes = file.sizeBytes - file.dataStart;
  let expected = 0;
  return listed.map((tensor, index) => {
    const { offset } = tensor;
    const known = tensorTypes.get(tensor.type);
    // A type that llama.cpp has and this table has not yet: it reaches as far as the next one says.
    const bytes = known ? bytesOf(tensor, known) : (listed[index + 1]?.offset ?? dataBytes) - offset;
    if (offset !== expected || bytes < 0) throw hostileGguf("its header is damaged (tensors overlap or leave gaps)");
    if (offset + bytes > dataBytes) {
      throw damagedGguf("the file is truncated or damaged", {
        size_bytes: file.sizeBytes,
        expected_bytes_min: file.dataStart + offset + bytes,
      });
    }
    expected = known ? Math.ceil((offset + bytes) / file.alignment) * file.alignment : offset + bytes;
    return { ...tensor, bytes };
  });
}

function bytesOf(
  { elements, dimensions: [row] }: Listed,
  [name, perBlock, blockBytes]: readonly [string, number, number],
) {
  if (row % perBlock !== 0) throw hostileGguf(`its header is damaged (a row of ${row} elements in ${name})`);
  return elements / perBlock * blockBytes;
}
