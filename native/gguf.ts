/**
 * Reads the header of a GGUF file: what it says of itself, and whether all of its tensors are there. Native code sees a
 * file only after this did, because a damaged header can end the whole process there and is a plain error here.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { fileTypes, tensorTypes, valueBytes } from "./gguf_types.ts";
import { limits } from "../protocol/limits.ts";

/** A value of the header. Arrays are walked, not kept: vocabularies are large and nobody here reads them. */
export type GgufValue = string | number | bigint | boolean | { readonly arrayLength: number };

/** One pair of the header's metadata. */
export interface GgufEntry {
  readonly value: GgufValue;
  /** Where the pair stands in the file, key included; for copying it whole. */
  readonly start: number;
  readonly end: number;
}

/** One tensor's place. */
export interface GgufTensor {
  readonly name: string;
  readonly elements: number;
  /** Number of its ggml type. */
  readonly type: number;
  /** Relative to `dataStart`. */
  readonly offset: number;
}

/** What the header of a GGUF file says. */
export interface GgufHeader {
  readonly architecture: string;
  /** `Q8_0`, `Q4_K_M`, …; the type of most of its bytes when the file does not say. */
  readonly quantization: string;
  readonly layers: number;
  readonly metadata: ReadonlyMap<string, GgufEntry>;
  readonly tensors: readonly GgufTensor[];
  readonly dataStart: number;
  readonly sizeBytes: number;
}

const pairsMax = 65_536;
const tensorsMax = 1_048_576;
const dimensionsMax = 8;
const readBytes = 1024 * 1024;

/**
 * Returns the header of the GGUF file at `path`. Throws `MODEL_NOT_FOUND` when nothing is there, and
 * `MODEL_LOAD_FAILED` when the file is no GGUF file, is damaged, or ends before its tensors do.
 */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  using file = await open(path);
  // not `file.stat()`: that asks for permission on what a symlink points to, and a worker's model is a symlink
  const stat = await Deno.stat(path);
  if (!stat.isFile) throw failed("it is no file");
  const reader = new HeaderReader(file, stat.size);
  if (stat.size < 24) throw failed(`it has only ${stat.size} bytes`);
  if (await reader.text(4) !== "GGUF") throw failed("it is no GGUF file");
  const version = await reader.number(4);
  if (version < 2 || version > 3) throw failed(`GGUF version ${version} is unknown`);
  const tensorCount = await reader.count(tensorsMax, "tensors");
  const pairCount = await reader.count(pairsMax, "metadata pairs");
  const metadata = await readPairs(reader, pairCount);
  const tensors = await readTensors(reader, tensorCount);
  const alignment = numberOf(metadata, "general.alignment") ?? 32;
  if (alignment < 1 || alignment % 1 !== 0) throw failed("its alignment is not a number");
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  const architecture = metadata.get("general.architecture")?.value;
  if (typeof architecture !== "string") throw failed("it does not say its architecture");
  const bytesByType = checkExtents(tensors, { dataStart, sizeBytes: stat.size });
  const fileType = fileTypes[numberOf(metadata, "general.file_type") ?? -1];
  return {
    architecture,
    quantization: fileType ?? [...bytesByType].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "unknown",
    layers: numberOf(metadata, `${architecture}.block_count`) ?? 0,
    metadata,
    tensors,
    dataStart,
    sizeBytes: stat.size,
  };
}

function failed(state: string, details: Record<string, unknown> = {}): RbeeError {
  return new RbeeError("MODEL_LOAD_FAILED", { message: `Cannot load the model: ${state}`, details });
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

function numberOf(metadata: ReadonlyMap<string, GgufEntry>, key: string): number | undefined {
  const value = metadata.get(key)?.value;
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
}

async function readPairs(reader: HeaderReader, count: number): Promise<Map<string, GgufEntry>> {
  const metadata = new Map<string, GgufEntry>();
  for (let i = 0; i < count; i++) {
    const start = reader.position;
    const key = await reader.string();
    const value = await readValue(reader, await reader.number(4));
    metadata.set(key, { value, start, end: reader.position });
  }
  return metadata;
}

async function readValue(reader: HeaderReader, type: number): Promise<GgufValue> {
  if (type === 8) return await reader.string();
  if (type === 9) return await skipArray(reader, 1);
  const bytes = valueBytes[type];
  if (!bytes) throw failed("its metadata is damaged");
  return await reader.value(type, bytes);
}

async function skipArray(reader: HeaderReader, depth: number): Promise<GgufValue> {
  const type = await reader.number(4);
  const arrayLength = await reader.count(Number.MAX_SAFE_INTEGER, "elements of an array");
  if (type === 8) {
    for (let i = 0; i < arrayLength; i++) await reader.skipString();
  } else if (type === 9) {
    if (depth > 4) throw failed("its metadata is damaged");
    for (let i = 0; i < arrayLength; i++) await skipArray(reader, depth + 1);
  } else {
    const bytes = valueBytes[type];
    if (!bytes) throw failed("its metadata is damaged");
    await reader.skip(arrayLength * bytes);
  }
  return { arrayLength };
}

async function readTensors(reader: HeaderReader, count: number): Promise<GgufTensor[]> {
  const tensors: GgufTensor[] = [];
  for (let i = 0; i < count; i++) {
    const name = await reader.string();
    const dimensions = await reader.number(4);
    if (dimensions > dimensionsMax) throw failed("its list of tensors is damaged");
    let elements = 1;
    for (let d = 0; d < dimensions; d++) elements *= await reader.count(Number.MAX_SAFE_INTEGER, "elements");
    const type = await reader.number(4);
    tensors.push({ name, elements, type, offset: await reader.count(Number.MAX_SAFE_INTEGER, "bytes") });
  }
  return tensors;
}

/** Returns the bytes of each type; throws when a tensor ends behind the end of the file. */
function checkExtents(tensors: readonly GgufTensor[], file: { dataStart: number; sizeBytes: number }) {
  const bytesByType = new Map<string, number>();
  for (const { elements, type, offset } of tensors) {
    const [name, perBlock, blockBytes] = tensorTypes.get(type) ?? ["unknown", 1, 0];
    const bytes = Math.ceil(elements / perBlock) * blockBytes;
    bytesByType.set(name, (bytesByType.get(name) ?? 0) + bytes);
    const end = file.dataStart + offset + bytes;
    if (end > file.sizeBytes) {
      throw failed("the file is truncated or damaged", { size_bytes: file.sizeBytes, expected_bytes_min: end });
    }
  }
  return bytesByType;
}

/** Reads forward through the header in large pieces; never past the end of the file or the bound of a header. */
class HeaderReader {
  position = 0;
  readonly #file: Deno.FsFile;
  readonly #sizeBytes: number;
  #buffer = new Uint8Array(0);
  /** Offset of `#buffer` in the file. */
  #start = 0;

  constructor(file: Deno.FsFile, sizeBytes: number) {
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  /** Moves on without looking. */
  async skip(bytes: number): Promise<void> {
    if (bytes > this.#start + this.#buffer.length - this.position) await this.#need(bytes);
    this.position += bytes;
  }

  /** Moves on over a string. */
  async skipString(): Promise<void> {
    await this.skip(await this.count(limits.ggufHeaderBytesMax, "bytes of a text"));
  }

  /** Returns the next `bytes` bytes as text. */
  async text(bytes: number): Promise<string> {
    return new TextDecoder().decode(await this.#take(bytes));
  }

  /** Returns a string with its length in front. */
  async string(): Promise<string> {
    return await this.text(await this.count(limits.ggufHeaderBytesMax, "bytes of a text"));
  }

  /** Returns an unsigned number of 4 bytes. */
  async number(bytes: 4): Promise<number> {
    const taken = await this.#take(bytes);
    return new DataView(taken.buffer, taken.byteOffset).getUint32(0, true);
  }

  /** Returns a count of 8 bytes that is at most `max`. */
  async count(max: number, what: string): Promise<number> {
    const taken = this.#start + this.#buffer.length - this.position >= 8 ? this.#takeNow(8) : await this.#take(8);
    const view = new DataView(taken.buffer, taken.byteOffset);
    const count = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
    if (count > max) throw failed(`the file is damaged: ${count} ${what}`);
    return count;
  }

  /** Returns a value of one of the fixed-size types. */
  async value(type: number, bytes: number): Promise<GgufValue> {
    const taken = await this.#take(bytes);
    const view = new DataView(taken.buffer, taken.byteOffset);
    switch (type) {
      case 0:
        return view.getUint8(0);
      case 1:
        return view.getInt8(0);
      case 2:
        return view.getUint16(0, true);
      case 3:
        return view.getInt16(0, true);
      case 4:
        return view.getUint32(0, true);
      case 5:
        return view.getInt32(0, true);
      case 6:
        return view.getFloat32(0, true);
      case 7:
        return view.getUint8(0) !== 0;
      case 10:
        return view.getBigUint64(0, true);
      case 11:
        return view.getBigInt64(0, true);
      default:
        return view.getFloat64(0, true);
    }
  }

  async #take(bytes: number): Promise<Uint8Array> {
    await this.#need(bytes);
    return this.#takeNow(bytes);
  }

  #takeNow(bytes: number): Uint8Array {
    const at = this.position - this.#start;
    this.position += bytes;
    return this.#buffer.subarray(at, at + bytes);
  }

  /** Makes the next `bytes` bytes stand in the buffer. */
  async #need(bytes: number): Promise<void> {
    const end = this.position + bytes;
    if (end <= this.#start + this.#buffer.length) return;
    if (end > this.#sizeBytes) throw failed("the file is truncated or damaged", { size_bytes: this.#sizeBytes });
    if (end > limits.ggufHeaderBytesMax) throw failed("its header is too large");
    const size = Math.min(this.#sizeBytes - this.position, Math.max(bytes, readBytes));
    this.#buffer = new Uint8Array(size);
    this.#start = this.position;
    await this.#file.seek(this.#start, Deno.SeekMode.Start);
    for (let filled = 0; filled < size;) {
      const read = await this.#file.read(this.#buffer.subarray(filled));
      if (read === null) throw failed("the file is truncated or damaged", { size_bytes: this.#sizeBytes });
      filled += read;
    }
  }
}
