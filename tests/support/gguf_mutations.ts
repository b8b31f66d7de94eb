/**
 * GGUF headers that no honest program writes: a small valid one with every kind of value, changed by chance.
 *
 * @module
 */
import type { SeededRandom } from "../sim/seeded_random.ts";
import { joined } from "./gguf_bytes.ts";

const alignment = 32;
const littleEndian = true;

/** Returns a small valid GGUF file: one tensor of each common type, one pair of each kind of value. */
export function smallGguf(): Uint8Array<ArrayBuffer> {
  const out = new Bytes();
  const pairs: [string, () => void][] = [
    ["general.architecture", () => out.u32(8).text("llama")],
    ["general.alignment", () => out.u32(4).u32(alignment)],
    ["general.file_type", () => out.u32(4).u32(7)],
    ["llama.block_count", () => out.u32(4).u32(2)],
    ["llama.context_length", () => out.u32(10).u64(2048n)],
    ["llama.embedding_length", () => out.u32(2).u16(64)],
    ["llama.feed_forward_length", () => out.u32(9).u32(5).u64(2n).u32(128).u32(256)],
    ["llama.attention.head_count", () => out.u32(4).u32(4)],
    ["llama.attention.head_count_kv", () => out.u32(9).u32(4).u64(2n).u32(2).u32(1)],
    ["llama.attention.key_length", () => out.u32(11).u64(16n)],
    ["llama.rope.freq_base", () => out.u32(6).u32(0x461c4000)],
    ["tokenizer.ggml.tokens", () => {
      out.u32(9).u32(8).u64(40n);
      for (let i = 0; i < 40; i++) out.text(`word${i}`);
    }],
    ["tokenizer.ggml.scores", () => {
      out.u32(9).u32(6).u64(40n);
      for (let i = 0; i < 40; i++) out.u32(0);
    }],
    ["tokenizer.ggml.eos_token_id", () => out.u32(0).u8(2)],
    ["tokenizer.ggml.add_bos_token", () => out.u32(7).u8(1)],
    ["tokenizer.chat_template", () => out.u32(8).text("{{ messages }}")],
  ];
  const tensors: [name: string, dimensions: number[], type: number, bytes: number][] = [
    ["token_embd.weight", [64, 40], 8, 64 * 40 / 32 * 34],
    ["blk.0.attn_q.weight", [64, 64], 2, 64 * 64 / 32 * 18],
    ["blk.1.attn_q.weight", [64, 64], 1, 64 * 64 * 2],
    ["output_norm.weight", [64], 0, 64 * 4],
  ];
  out.raw("GGUF").u32(3).u64(BigInt(tensors.length)).u64(BigInt(pairs.length));
  for (const [key, write] of pairs) {
    out.text(key);
    write();
  }
  let offset = 0;
  for (const [name, dimensions, type, bytes] of tensors) {
    out.text(name).u32(dimensions.length);
    for (const size of dimensions) out.u64(BigInt(size));
    out.u32(type).u64(BigInt(offset));
    offset += Math.ceil(bytes / alignment) * alignment;
  }
  return out.padded(offset);
}

/** Numbers at which careless arithmetic breaks. */
const edges: readonly bigint[] = [
  ...[
    0n,
    1n,
    7n,
    8n,
    31n,
    33n,
    255n,
    65_535n,
    65_536n,
    2n ** 24n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
  ],
  ...[2n ** 40n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 32n],
];

/** Returns a copy with one to four changes that chance chose, most of them in the first `headerBytes`. */
export function mutated(whole: Uint8Array, headerBytes: number, chance: SeededRandom): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(whole);
  for (let changes = chance.between(1, 4); changes > 0; changes--) bytes = changed(bytes, headerBytes, chance);
  return bytes;
}

type Change = (bytes: Uint8Array<ArrayBuffer>, at: number, chance: SeededRandom) => Uint8Array<ArrayBuffer>;

/** Each changes the copy that it is given, or returns another. */
const kinds: readonly Change[] = [
  (bytes, at, chance) => {
    bytes[at] ^= 1 << chance.between(0, 7);
    return bytes;
  },
  (bytes, at, chance) => {
    bytes[at] = chance.between(0, 255);
    return bytes;
  },
  (bytes, at, chance) => {
    const value = chance.pick(edges) + BigInt(chance.chance(0.2) ? chance.between(-3, 3) : 0);
    if (at + 8 <= bytes.length) view(bytes).setBigUint64(at, BigInt.asUintN(64, value), littleEndian);
    return bytes;
  },
  (bytes, at, chance) => {
    const value = Number(BigInt.asUintN(32, chance.pick(edges)));
    if (at + 4 <= bytes.length) view(bytes).setUint32(at, value, littleEndian);
    return bytes;
  },
  (bytes, at, chance) => bytes.fill(chance.pick([0, 0xff, 0x20, 9]), at, at + chance.between(1, 64)),
  (bytes, at, chance) => joined([bytes.subarray(0, at), bytes.subarray(at + chance.between(1, 40))]),
  (bytes, at, chance) =>
    joined([bytes.subarray(0, at), bytes.subarray(at, at + chance.between(1, 400)), bytes.subarray(at)]),
  (bytes, at) => bytes.slice(0, at),
  (bytes, at, chance) => bytes.copyWithin(at, chance.between(0, at), at + chance.between(1, 100)),
];

function changed(bytes: Uint8Array<ArrayBuffer>, headerBytes: number, chance: SeededRandom): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return bytes;
  const max = chance.chance(0.95) ? Math.min(headerBytes, bytes.length) - 1 : bytes.length - 1;
  // A cut makes all that follows dull, so it comes seldom.
  const kind = chance.chance(0.03) ? kinds[7] : kinds[chance.pick([0, 1, 2, 2, 3, 3, 4, 5, 6, 8])];
  return kind(bytes, chance.between(0, max), chance);
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Bytes that are written one after the other. */
class Bytes {
  readonly #parts: Uint8Array[] = [];

  raw(text: string): this {
    this.#parts.push(new TextEncoder().encode(text));
    return this;
  }

  text(text: string): this {
    return this.u64(BigInt(new TextEncoder().encode(text).length)).raw(text);
  }

  u8(value: number): this {
    return this.#number(1, (bytes) => bytes.setUint8(0, value));
  }

  u16(value: number): this {
    return this.#number(2, (bytes) => bytes.setUint16(0, value, littleEndian));
  }

  u32(value: number): this {
    return this.#number(4, (bytes) => bytes.setUint32(0, value, littleEndian));
  }

  u64(value: bigint): this {
    return this.#number(8, (bytes) => bytes.setBigUint64(0, value, littleEndian));
  }

  /** Returns all of it, up to the next multiple of the alignment, and that many zeros. */
  padded(zeros: number): Uint8Array<ArrayBuffer> {
    const bytes = joined(this.#parts);
    return joined([bytes, new Uint8Array(Math.ceil(bytes.length / alignment) * alignment - bytes.length + zeros)]);
  }

  #number(size: number, write: (bytes: DataView) => void): this {
    const bytes = new Uint8Array(size);
    write(view(bytes));
    this.#parts.push(bytes);
    return this;
  }
}
