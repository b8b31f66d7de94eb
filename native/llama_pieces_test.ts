import assert from "node:assert/strict";
import { readGgufHeader } from "./gguf.ts";
import type { ModelBinding } from "./llama_binding.ts";
import { alphabetOf, byteToken, decodeByteAlphabet, endsInside, Pieces, TextStream } from "./llama_pieces.ts";
import { tinyGguf } from "./tiny.ts";

const attributes = { normal: 4, control: 8, userDefined: 16, byte: 32 } as const;

/** Returns the part of a model that pieces need, from a list of texts; control tokens look like <|this|>. */
function vocabularyModel(texts: readonly string[]): ModelBinding {
  const attributeOf = (text: string) => {
    if (/^<\|.*\|>$/.test(text)) return attributes.control;
    return /^<0x..>$/.test(text) ? attributes.byte : attributes.normal;
  };
  return {
    tokenize: (text) => Uint32Array.of(texts.findIndex((one) => one === "Ġ" || one === "▁" || one === text)),
    detokenize: (tokens) => Array.from(tokens, (token) => texts[token]).join(""),
    getTokenString: (token) => texts[token],
    getTokenAttributes: (token) => attributeOf(texts[token]),
    isEogToken: () => false,
  };
}

/** Returns the texts of the embedded model's vocabulary, as its file has them. */
async function tinyVocabulary(): Promise<string[]> {
  const entry = (await readGgufHeader(tinyGguf().pathname)).metadata.get("tokenizer.ggml.tokens");
  assert.ok(entry);
  const bytes = (await Deno.readFile(tinyGguf())).slice(entry.start, entry.end);
  const view = new DataView(bytes.buffer);
  let at = 8 + Number(view.getBigUint64(0, true)) + 4 + 4;
  const texts: string[] = [];
  const count = Number(view.getBigUint64(at, true));
  at += 8;
  for (let i = 0; i < count; i++) {
    const length = Number(view.getBigUint64(at, true));
    texts.push(new TextDecoder().decode(bytes.subarray(at + 8, at + 8 + length)));
    at += 8 + length;
  }
  return texts;
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

Deno.test("characters of many tokens come whole, with the last token of each", async () => {
  const texts = await tinyVocabulary();
  const model = vocabularyModel(texts);
  assert.equal(alphabetOf(model, "bpe"), "bytes");
  const pieces = new Pieces(model, "bytes");
  const tokenOf = new Map(texts.map((text, token) => [text.length === 1 ? decodeByteAlphabet(text)[0] : -1, token]));
  const sentence = "ñ 日本語 🙂👩‍🚀 end";
  const stream = new TextStream(pieces);
  let text = "";
  for (const byte of new TextEncoder().encode(sentence)) {
    const token = tokenOf.get(byte);
    assert.ok(token !== undefined, `no token for byte ${byte}`);
    const piece = stream.next(token);
    assert.ok(piece.isWellFormed() && !piece.includes("\ufffd"));
    assert.equal(stream.isWhole, piece !== "");
    text += piece;
  }
  assert.equal(text + stream.end(), sentence);
});

Deno.test("random tokens joined are exactly the decoded bytes of them all, broken ones included", async () => {
  const texts = await tinyVocabulary();
  const pieces = new Pieces(vocabularyModel(texts), "bytes");
  const singles = texts.flatMap((text, token) => text.length === 1 ? [token] : []);
  let state = 1;
  const random = (bound: number) => (state = Math.imul(state, 1103515245) + 12345 >>> 0) % bound;
  for (let round = 0; round < 200; round++) {
    const tokens = Array.from(
      { length: 40 },
      () => random(2) ? singles[random(singles.length)] : random(texts.length),
    );
    const stream = new TextStream(pieces);
    const text = tokens.map((token) => stream.next(token)).join("") + stream.end();
    const bytes = concatenated(tokens.map((token) => pieces.bytesOf(token)));
    assert.equal(text, new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
  }
});

Deno.test("an unfinished character at the end becomes U+FFFD", () => {
  const stream = new TextStream(new Pieces(vocabularyModel(["▁", "<0xF0>", "<0x9F>", "a"]), "spaces"));
  assert.equal(stream.next(3) + stream.next(1) + stream.next(2), "a");
  assert.equal(stream.isWhole, false);
  assert.equal(stream.end(), "\ufffd");
});

Deno.test("vocabularies that write spaces as ▁ give spaces, bytes and no control tokens", () => {
  const texts = ["▁", "▁Hello", "<0xC3>", "<0xB1>", "<|end|>", "é"];
  const model = vocabularyModel(texts);
  assert.equal(alphabetOf(model, "spm"), "spaces");
  assert.equal(alphabetOf(model, "bpe"), "spaces");
  assert.equal(alphabetOf(model, "rwkv"), "other");
  const stream = new TextStream(new Pieces(model, "spaces"));
  assert.equal([1, 2, 3, 4, 5].map((token) => stream.next(token)).join("|"), " Hello||ñ||é");
});

Deno.test("byte texts, the byte alphabet and cut characters are read as llama.cpp does", () => {
  assert.deepEqual([...byteToken("<0x0A>")], [10]);
  assert.deepEqual([...byteToken("<0xZZ>")], []);
  assert.equal(new TextDecoder().decode(decodeByteAlphabet("ĠHelloĊ")), " Hello\n");
  assert.deepEqual([...decodeByteAlphabet("ÿ¡Ń")], [255, 161, 173]);
  for (const [bytes, inside] of [[[0x61], false], [[0xc3], true], [[0xc3, 0xb1], false], [[0xf0, 0x9f, 0x99], true]]) {
    assert.equal(endsInside(bytes as number[]), inside);
  }
  assert.equal(endsInside([0xf0, 0x9f, 0x99, 0x82]), false);
  assert.equal(endsInside([]), false);
});
