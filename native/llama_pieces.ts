/**
 * From generated tokens to text. A token is bytes, not characters: one emoji can take four tokens. Bytes are taken from
 * the vocabulary as llama.cpp's `token_to_piece` does, once per token, and a streaming decoder holds back what is not
 * yet a whole character.
 *
 * @module
 */
import type { ModelBinding } from "./llama_binding.ts";

/** How a vocabulary writes its bytes. */
export type Alphabet =
  /** Each byte is a printable character (GPT-2, Llama 3, Qwen). */
  | "bytes"
  /** UTF-8 text with ▁ for a space, and `<0xAB>` for single bytes (Llama 2, Gemma, T5). */
  | "spaces"
  /** Only llama.cpp knows. */
  | "other";

/**
 * Returns how a model writes its bytes. `kind` is llama.cpp's name of the vocabulary type. Some vocabularies of kind
 * `bpe` write ▁ like the others (Gemma 4), so a space is asked for.
 */
export function alphabetOf(model: ModelBinding, kind: string): Alphabet {
  if (kind === "spm" || kind === "ugm" || kind === "wpm") return "spaces";
  if (kind !== "bpe") return "other";
  const space = Array.from(model.tokenize(" ", false), (token) => model.getTokenString(token)).join("");
  return space.includes("▁") ? "spaces" : "bytes";
}

/** Bits of `llama_token_attr`. */
const attribute = { unknown: 1, normal: 4, control: 8, userDefined: 16, byte: 32 } as const;

const noBytes = new Uint8Array(0);
const encoder = new TextEncoder();

/** The bytes of each token of one model, looked up once. */
export class Pieces {
  readonly #model: ModelBinding;
  readonly #alphabet: Alphabet;
  readonly #known = new Map<number, Uint8Array>();

  constructor(model: ModelBinding, alphabet: Alphabet) {
    this.#model = model;
    this.#alphabet = alphabet;
  }

  /** Returns the bytes that a token adds to the text; none for control tokens. */
  bytesOf(token: number): Uint8Array {
    let bytes = this.#known.get(token);
    if (!bytes) this.#known.set(token, bytes = this.#lookUp(token));
    return bytes;
  }

  #lookUp(token: number): Uint8Array {
    const attributes = this.#model.getTokenAttributes(token);
    if (attributes & (attribute.control | attribute.unknown)) return noBytes;
    const text = this.#model.getTokenString(token);
    if (this.#alphabet === "other") return encoder.encode(this.#model.detokenize(Uint32Array.of(token), false));
    if (attributes & attribute.userDefined) return encoder.encode(text);
    if (attributes & attribute.byte) return byteToken(text);
    if (!(attributes & attribute.normal)) return noBytes;
    return this.#alphabet === "spaces" ? encoder.encode(text.replaceAll("▁", " ")) : decodeByteAlphabet(text);
  }
}

/** Returns the byte of a text like `<0xAB>`; nothing when it is no such text. */
export function byteToken(text: string): Uint8Array {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
  return hex ? Uint8Array.of(parseInt(hex, 16)) : noBytes;
}

/** Printable bytes stand for themselves in GPT-2's alphabet; the others, in order, are the characters from 256 on. */
const byteAlphabet: ReadonlyMap<number, number> = (() => {
  const map = new Map<number, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    map.set(printable ? byte : next++, byte);
  }
  return map;
})();

/** Returns the bytes of a text in GPT-2's alphabet. A character outside of it keeps its own UTF-8. */
export function decodeByteAlphabet(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const byte = byteAlphabet.get(character.codePointAt(0)!);
    if (byte === undefined) bytes.push(...encoder.encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Text of one generation, token after token. */
export class TextStream {
  readonly #pieces: Pieces;
  /** `ignoreBOM`: a byte order mark is a token like any other here, not a sign about the stream. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(pieces: Pieces) {
    this.#pieces = pieces;
  }

  /** The last bytes, four at most: as many as a character can have. */
  #tail: number[] = [];

  /** Whether the text so far ends with a whole character. */
  get isWhole(): boolean {
    return !endsInside(this.#tail);
  }

  /** Returns what the token makes whole, which may be nothing. */
  next(token: number): string {
    const bytes = this.#pieces.bytesOf(token);
    this.#tail = [...this.#tail, ...bytes.subarray(-4)].slice(-4);
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** Returns U+FFFD when bytes of an unfinished character are left, else nothing. */
  end(): string {
    return this.#decoder.decode();
  }
}

/** Returns whether the last bytes begin a character of UTF-8 that is not yet complete. */
export function endsInside(bytes: readonly number[]): boolean {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte < 0x80) return false;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2);
  }
  return false;
}
