/**
 * Writes models that are slow on purpose: the llama architecture with random weights, so that decoding takes
 * milliseconds per token and loading takes a while, on a machine that has no real model. Tokenizer and chat template
 * are those of `builtin:tiny`, so text comes out; it means nothing.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { readGgufHeader } from "../../native/gguf.ts";
import { tinyGguf } from "../../native/tiny.ts";
import { joined, padded, text, u32, u64, upwards, writeAll } from "./gguf_bytes.ts";

/** What to write. The default has 430 MB and takes about 20 ms per token on one core. */
export interface SlowGgufOptions {
  /** Folder that keeps the files; what is there already is used again. */
  readonly folder: string;
  readonly layers?: number;
  /** A multiple of 128: two heads, which share one key and value head. */
  readonly width?: number;
  readonly context?: number;
  readonly weights?: "Q8_0" | "F16";
  readonly seed?: number;
}

/** The form for slow loading: about 620 MB. */
export const largeForm = { layers: 32, width: 896, weights: "F16" } as const;

/** Of the weights' code: raising it makes new files. */
const formatVersion = 1;
const headWidth = 64;
/** Odd on purpose: a pool that divides a row would make all rows of a matrix the same, and so all its outputs. */
const poolBlocks = 65_537;

interface Form {
  readonly layers: number;
  readonly width: number;
  readonly context: number;
  readonly weights: "Q8_0" | "F16";
  readonly seed: number;
}

interface Tensor {
  readonly name: string;
  readonly dimensions: readonly number[];
}

/** Returns the path of a model of this form, written now or before. */
export async function slowGguf(options: SlowGgufOptions): Promise<string> {
  const form: Form = { layers: 32, width: 1024, context: 4096, weights: "Q8_0", seed: 1, ...defined(options) };
  const name = createHash("sha256").update(JSON.stringify([formatVersion, form])).digest("hex").slice(0, 16);
  const path = join(options.folder, `slow-${name}.gguf`);
  if (await exists(path)) return path;
  await Deno.mkdir(options.folder, { recursive: true });
  // A name of its own, then a rename: two tests at once, or one that is killed, never leave half a model.
  const temporary = `${path}.${crypto.randomUUID()}.part`;
  try {
    await writeModel(temporary, form);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => undefined);
    throw error;
  }
  return path;
}

function defined({ layers, width, context, weights, seed }: SlowGgufOptions): Partial<Form> {
  return Object.fromEntries(
    Object.entries({ layers, width, context, weights, seed }).filter(([, value]) => value !== undefined),
  );
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function writeModel(path: string, form: Form): Promise<void> {
  const tensors = tensorsOf(form);
  using file = await Deno.open(path, { write: true, createNew: true });
  await writeAll(file, await header(tensors, form));
  const pools = new Map<number, Uint8Array>();
  for (const { dimensions } of tensors) {
    if (dimensions.length === 1) {
      await writeAll(file, padded(new Uint8Array(new Float32Array(dimensions[0]).fill(1).buffer)));
      continue;
    }
    let pool = pools.get(dimensions[0]);
    if (!pool) pools.set(dimensions[0], pool = randomPool(dimensions[0], form));
    await writeRepeated(file, pool, bytesOf(dimensions, form));
  }
}

function tensorsOf({ layers, width }: Form): Tensor[] {
  const inner = width * 3;
  const keys = width / 2;
  const vocabulary = 2048;
  const tensors: Tensor[] = [{ name: "token_embd.weight", dimensions: [width, vocabulary] }];
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, ...dimensions: number[]) =>
      tensors.push({ name: `blk.${layer}.${name}.weight`, dimensions });
    add("attn_norm", width);
    add("attn_q", width, width);
    add("attn_k", width, keys);
    add("attn_v", width, keys);
    add("attn_output", width, width);
    add("ffn_norm", width);
    add("ffn_gate", width, inner);
    add("ffn_up", width, inner);
    add("ffn_down", inner, width);
  }
  return [...tensors, { name: "output_norm.weight", dimensions: [width] }];
}

function bytesOf(dimensions: readonly number[], form: Form): number {
  const elements = dimensions.reduce((a, b) => a * b);
  if (dimensions.length === 1) return elements * 4;
  return form.weights === "F16" ? elements * 2 : elements / 32 * 34;
}

async function header(tensors: readonly Tensor[], form: Form): Promise<Uint8Array> {
  const tiny = tinyGguf().pathname;
  const { metadata } = await readGgufHeader(tiny);
  const source = await Deno.readFile(tiny);
  const pairs = metadataOf(form);
  for (const [key, { start, end }] of metadata) {
    if (key.startsWith("tokenizer.")) pairs.push(source.subarray(start, end));
  }
  const places: Uint8Array[] = [];
  let offset = 0;
  for (const { name, dimensions } of tensors) {
    const type = dimensions.length === 1 ? 0 : form.weights === "F16" ? 1 : 8;
    places.push(text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset));
    offset += upwards(bytesOf(dimensions, form));
  }
  const start = [new TextEncoder().encode("GGUF"), u32(3), u64(tensors.length), u64(pairs.length)];
  return padded(joined([...start, ...pairs, ...places]));
}

function metadataOf({ layers, width, context, weights }: Form): Uint8Array[] {
  const number = (key: string, value: number) => joined([text(key), u32(4), u32(value)]);
  const words = (key: string, value: string) => joined([text(key), u32(8), text(value)]);
  const real = (key: string, value: number) =>
    joined([text(key), u32(6), new Uint8Array(new Float32Array([value]).buffer)]);
  return [
    words("general.architecture", "llama"),
    words("general.name", `slow ${layers}x${width}`),
    number("general.file_type", weights === "F16" ? 1 : 7),
    number("llama.context_length", context),
    number("llama.embedding_length", width),
    number("llama.block_count", layers),
    number("llama.feed_forward_length", width * 3),
    number("llama.attention.head_count", width / headWidth),
    number("llama.attention.head_count_kv", width / headWidth / 2),
    number("llama.rope.dimension_count", headWidth),
    real("llama.rope.freq_base", 10_000),
    real("llama.attention.layer_norm_rms_epsilon", 1e-5),
    number("llama.vocab_size", 2048),
  ];
}

/** Returns random blocks whose weights keep a signal of `inputs` values at its size. */
function randomPool(inputs: number, { weights, seed }: Form): Uint8Array {
  const random = xorshift(seed * 7919 + inputs);
  const deviation = 1 / Math.sqrt(inputs);
  if (weights === "F16") {
    // 2048 patterns between 0.5 and 1 of one power of two, with random signs.
    const exponent = Math.max(1, 15 + Math.round(Math.log2(deviation)));
    const pool = new Uint16Array(poolBlocks * 16);
    for (let i = 0; i < pool.length; i++) {
      const bits = random();
      pool[i] = (bits & 0x8000) | (exponent << 10) | (bits >>> 16 & 0x3ff);
    }
    return new Uint8Array(pool.buffer);
  }
  const scale = half(deviation / 73); // 73 is the deviation of a byte from -127 to 127
  const pool = new Uint8Array(poolBlocks * 34);
  const words = new Uint32Array(8);
  for (let block = 0; block < poolBlocks; block++) {
    for (let i = 0; i < 8; i++) words[i] = random();
    pool[block * 34] = scale & 255;
    pool[block * 34 + 1] = scale >>> 8;
    pool.set(new Uint8Array(words.buffer), block * 34 + 2);
  }
  return pool;
}

/** Returns the bits of a small positive number as IEEE half, cut not rounded. */
function half(value: number): number {
  const exponent = Math.floor(Math.log2(value));
  if (exponent < -14) return Math.round(value * 2 ** 24);
  return ((exponent + 15) << 10) | Math.floor((value / 2 ** exponent - 1) * 1024);
}

function xorshift(seed: number): () => number {
  let state = (seed >>> 0) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>>= 0;
  };
}

async function writeRepeated(file: Deno.FsFile, pool: Uint8Array, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= pool.length) await writeAll(file, pool.subarray(0, left));
  await writeAll(file, new Uint8Array(upwards(bytes) - bytes));
}
