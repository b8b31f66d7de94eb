import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { readGgufHeader } from "./gguf.ts";
import { tinyGguf } from "./tiny.ts";

async function withBytes(bytes: Uint8Array, work: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, bytes);
    await work(path);
  } finally {
    await Deno.remove(path);
  }
}

const failsWith = (code: string) => (state: RegExp) => (error: unknown) =>
  error instanceof RbeeError && error.code === code && state.test(error.message);
const fails = failsWith("MODEL_LOAD_FAILED");
const isIncompatible = failsWith("MODEL_INCOMPATIBLE");

Deno.test("the header says architecture, quantization, layers and where the tensors lie", async () => {
  const header = await readGgufHeader(tinyGguf().pathname);
  assert.equal(header.architecture, "llama");
  assert.equal(header.quantization, "Q8_0");
  assert.equal(header.layers, 5);
  assert.equal(header.vocabSize, 2048);
  assert.equal(header.eosTokenId, 2);
  assert.equal(header.tensors.length, 47);
  assert.equal(header.sizeBytes, 2383680);
  assert.equal(header.metadata.get("llama.context_length")?.value, 2048);
  assert.deepEqual(header.metadata.get("tokenizer.ggml.tokens")?.value, { arrayLength: 2048 });
  const last = header.tensors.at(-1);
  assert.equal(header.dataStart + (last?.offset ?? 0) + 192 * 4, header.sizeBytes);
});

Deno.test("a file that ends anywhere before its last tensor does is refused", async () => {
  const whole = await Deno.readFile(tinyGguf());
  for (const length of [0, 3, 23, 24, 40, 1000, 27_271, 61_300, 64_319, 64_320, whole.length - 1]) {
    await withBytes(whole.subarray(0, length), async (path) => {
      await assert.rejects(readGgufHeader(path), fails(/truncated|damaged|has only/), `cut to ${length}`);
    });
  }
});

Deno.test("absurd counts and lengths end in an error at once, and take no memory", async () => {
  const whole = await Deno.readFile(tinyGguf());
  for (const [at, what] of [[8, "tensors"], [16, "pairs"], [24, "key length"], [934, "array"]] as const) {
    const bytes = whole.slice();
    bytes.fill(0xee, at, at + 8);
    const startMs = performance.now();
    await withBytes(bytes, async (path) => {
      await assert.rejects(readGgufHeader(path), isIncompatible(/damaged|too large/), what);
    });
    assert.ok(performance.now() - startMs < 1000);
  }
});

Deno.test("every changed byte of the header is read or refused, and never hangs or throws anything else", async () => {
  const whole = await Deno.readFile(tinyGguf());
  const path = await Deno.makeTempFile();
  try {
    let state = 7;
    for (let round = 0; round < 60; round++) {
      state = Math.imul(state, 1103515245) + 12345 >>> 0;
      const at = state % 2 ? (state >>> 8) % 900 : 61_600 + (state >>> 8) % 2_700;
      const bytes = whole.slice();
      bytes[at] ^= 1 << (state >>> 4) % 8;
      await Deno.writeFile(path, bytes);
      await readGgufHeader(path).catch((error) => assert.ok(error instanceof RbeeError, `byte ${at}: ${error}`));
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a folder, a missing file and another format are told apart", async () => {
  await assert.rejects(readGgufHeader("."), fails(/no file|cannot be opened/));
  await assert.rejects(readGgufHeader("./missing.gguf"), { code: "MODEL_NOT_FOUND" });
  await withBytes(new Uint8Array(100), async (path) => {
    await assert.rejects(readGgufHeader(path), fails(/no GGUF file/));
  });
  const version = (await Deno.readFile(tinyGguf())).slice(0, 100);
  version[4] = 9;
  await withBytes(version, async (path) => {
    await assert.rejects(readGgufHeader(path), isIncompatible(/version 9 is unknown/));
  });
});
