/**
 * Reads the header of a GGUF file: what it says of itself, and whether all of its tensors are there. Native code sees a
 * file only after this did, because a damaged header can end the whole process there and is a plain error here.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * A file that is no GGUF file or ends too early is `MODEL_LOAD_FAILED`: another copy may be whole. A header whose
 * counts, lengths, offsets or nesting are beyond what any model has, or contradict each other, is `MODEL_INCOMPATIBLE`.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { damagedGguf, GgufReader, type GgufSource, hostileGguf } from "./gguf_reader.ts";
import { type GgufTensor, placeTensors, readTensors, tensorBounds } from "./gguf_tensors.ts";
import { fileTypes, tensorTypes, valueBytes } from "./gguf_types.ts";

export type { GgufSource } from "./gguf_reader.ts";
export type { GgufTensor } from "./gguf_tensors.ts";

/** A list in the header. Only short ones of numbers are kept: vocabularies are large and nobody here reads them. */
export interface GgufArray {
  readonly arrayLength: number;
  readonly numbers?: readonly number[];
}

/** A value of the header. */
export type GgufValue = string | number | bigint | boolean | GgufArray;

/** One pair of the header's metadata. */
export interface GgufEntry {
  readonly value: GgufValue;
  /** Where the pair stands in the file, key included; for copying it whole. */
  readonly start: number;
  readonly end: number;
}

/** What the header of a GGUF file says. */
export interface GgufHeader {
  /** Empty in the later files of a split model. */
  readonly architecture: string;
  /** `Q8_0`, `Q4_K_M`, …; the type of most of its bytes when the file does not say. */
  readonly quantization: string;
  readonly layers: number;
  /** Words of the vocabulary; 0 when the file does not say. */
  readonly vocabSize: number;
  /** The token that ends a text; -1 when the file does not say. */
  readonly eosTokenId: number;
  readonly metadata: ReadonlyMap<string, GgufEntry>;
  readonly tensors: readonly GgufTensor[];
  readonly dataStart: number;
  readonly sizeBytes: number;
}

const headBytes = 24;
const pairsMax = 16_384;
/** A key's length has 16 bits in the format; nothing real comes near. */
const keyBytesMax = 65_535;
/** One number for each layer, at most. */
const numbersKeptMax = 4_096;
const textType = 8;
const arrayType = 9;

/**
 * Returns the header of the GGUF file at `path`. Throws `MODEL_NOT_FOUND` when nothing is there, `MODEL_LOAD_FAILED` when
 * the file is no GGUF file or ends before its tensors do, `MODEL_INCOMPATIBLE` when its header cannot be true.
 */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  using file = await open(path);
  // not `file.stat()`: that asks for permission on what a symlink points to, and a worker's model is a symlink
  const stat = await Deno.stat(path);
  if (!stat.isFile) throw damagedGguf("it is no file");
  return await readGgufHeaderFrom({
    sizeBytes: stat.size,
    async read(offset, length) {
      await file.seek(offset, Deno.SeekMode.Start);
      const piece = new Uint8Array(length);
      return piece.subarray(0, await file.read(piece) ?? 0);
    },
  });
}

/** Returns the header of the GGUF file behind `source`. Throws as `readGgufHeader` does, and what the source throws. */
export async function readGgufHeaderFrom(source: GgufSource): Promise<GgufHeader> {
  const { sizeBytes } = source;
  if (sizeBytes < headBytes) throw damagedGguf(`it has only ${sizeBytes} bytes`);
  const reader = new GgufReader(source);
  const counts = await readHead(reader);
  const metadata = await readPairs(reader, counts.pairs);
  const { architecture, alignment } = identity(metadata, counts);
  const listed = await readTensors(reader, counts.tensors);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  const tensors = placeTensors(listed, { dataStart, sizeBytes, alignment });
  const words = metadata.get("tokenizer.ggml.tokens")?.value;
  return {
    architecture,
    quantization: fileTypes[numberOf(metadata, "general.file_type") ?? -1] ?? mostBytes(tensors),
    layers: numberOf(metadata, `${architecture}.block_count`) ?? 0,
    vocabSize: typeof words === "object" ? words.arrayLength : numberOf(metadata, `${architecture}.vocab_size`) ?? 0,
    eosTokenId: numberOf(metadata, "tokenizer.ggml.eos_token_id") ?? -1,
    metadata,
    tensors,
    dataStart,
    sizeBytes,
  };
}

/** Returns a number of the metadata, or undefined when there is none under that key. */
export function numberOf(metadata: ReadonlyMap<string, GgufEntry>, key: string): number | undefined {
  const value = metadata.get(key)?.value;
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
}

async function open(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw new RbeeError("MODEL_NOT_FOUND", { message: "Cannot load the model: the file does not exist", cause });
    }
    throw new RbeeError("MODEL_LOAD_FAILED", {
      message: `Cannot load the model: the file cannot be opened (${cause instanceof Error ? cause.name : "error"})`,
      cause,
    });
  }
}

interface Counts {
  readonly tensors: number;
  readonly pairs: number;
}

async function readHead(reader: GgufReader): Promise<Counts> {
  const head = await reader.take(8);
  if (head.getUint32(0) !== 0x47475546) throw damagedGguf("it is no GGUF file");
  const version = head.getUint32(4, true);
  if (version !== 2 && version !== 3) {
    const isBigEndian = head.getUint32(4) <= 3;
    throw new RbeeError("MODEL_INCOMPATIBLE", {
      message: isBigEndian
        ? "Cannot use this model: it was made for big-endian machines"
        : `Cannot use this model: GGUF version ${version} is unknown`,
      details: { version },
      hint: "Use a GGUF file of version 2 or 3",
    });
  }
  const tensors = await reader.count(tensorBounds.tensorsMax, "tensors");
  return { tensors, pairs: await reader.count(pairsMax, "metadata pairs") };
}

async function readPairs(reader: GgufReader, count: number): Promise<Map<string, GgufEntry>> {
  const metadata = new Map<string, GgufEntry>();
  for (let i = 0; i < count; i++) {
    const start = reader.position;
    reader.keep(128);
    const key = await reader.text(keyBytesMax);
    const value = await readValue(reader, await reader.number());
    if (metadata.has(key)) throw hostileGguf("its header is damaged (two values of one name)");
    metadata.set(key, { value, start, end: reader.position });
  }
  return metadata;
}

async function readValue(reader: GgufReader, type: number): Promise<GgufValue> {
  if (type === textType) return await reader.text();
  if (type === arrayType) return await readArray(reader);
  return valueAt(await reader.take(bytesOf(type)), 0, type);
}

function bytesOf(type: number): number {
  const bytes = valueBytes[type];
  if (!bytes) throw hostileGguf(`its header is damaged (value type ${type})`);
  return bytes;
}

async function readArray(reader: GgufReader): Promise<GgufArray> {
  const type = await reader.number();
  // A text has 8 bytes at least, so the bound of the header's size bounds all of these.
  const arrayLength = await reader.count(Number.MAX_SAFE_INTEGER, "elements of a list");
  // llama.cpp reads none either.
  if (type === arrayType) throw hostileGguf("its header has lists of lists");
  if (type === textType) {
    await reader.skipTexts(arrayLength);
    return { arrayLength };
  }
  const bytes = bytesOf(type);
  if (arrayLength > numbersKeptMax) {
    reader.skip(arrayLength * bytes);
    return { arrayLength };
  }
  reader.keep(arrayLength * 8);
  const view = await reader.take(arrayLength * bytes);
  return {
    arrayLength,
    numbers: Array.from({ length: arrayLength }, (_, i) => Number(valueAt(view, i * bytes, type))),
  };
}

function valueAt(view: DataView, at: number, type: number): number | bigint | boolean {
  switch (type) {
    case 0:
      return view.getUint8(at);
    case 1:
      return view.getInt8(at);
    case 2:
      return view.getUint16(at, true);
    case 3:
      return view.getInt16(at, true);
    case 4:
      return view.getUint32(at, true);
    case 5:
      return view.getInt32(at, true);
    case 6:
      return view.getFloat32(at, true);
    case 7:
      return view.getUint8(at) !== 0;
    case 10:
      return view.getBigUint64(at, true);
    case 11:
      return view.getBigInt64(at, true);
    default:
      return view.getFloat64(at, true);
  }
}

/** Returns what the rest of the header is read by; throws when it contradicts itself. */
function identity(metadata: ReadonlyMap<string, GgufEntry>, { tensors }: Counts) {
  const isLaterPart = (numberOf(metadata, "split.no") ?? 0) > 0;
  const isSplit = (numberOf(metadata, "split.count") ?? 1) > 1;
  if (tensors === 0 && !isSplit) throw hostileGguf("its header is damaged (no tensors)");
  const architecture = metadata.get("general.architecture")?.value ?? (isLaterPart ? "" : undefined);
  if (typeof architecture !== "string" || !/^[\w.-]{0,64}$/.test(architecture)) {
    throw hostileGguf("it does not say its architecture");
  }
  const alignment = metadata.get("general.alignment")?.value ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || Math.log2(alignment) % 1 !== 0) {
    throw hostileGguf("its header is damaged (alignment)");
  }
  return { architecture, alignment };
}

function mostBytes(tensors: readonly GgufTensor[]): string {
  const bytesByType = new Map<string, number>();
  for (const { type, bytes } of tensors) {
    const name = tensorTypes.get(type)?.[0] ?? "unknown";
    bytesByType.set(name, (bytesByType.get(name) ?? 0) + bytes);
  }
  return [...bytesByType].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "unknown";
}
