import assert from "node:assert/strict";
import { type GgufEntry, readGgufHeader, readGgufHeaderFrom } from "./gguf.ts";
import { shapeOf } from "./gguf_shape.ts";
import { tinyGguf } from "./tiny.ts";

const entry = (value: GgufEntry["value"]): GgufEntry => ({ value, start: 0, end: 0 });

Deno.test("the shape says what a model's memory hangs on", async () => {
  const shape = shapeOf(await readGgufHeader(tinyGguf().pathname));
  assert.deepEqual(shape, {
    architecture: "llama",
    layers: 5,
    context_length: 2048,
    vocab_size: 2048,
    embedding_length: 192,
    feed_forward_length: 448,
    head_count: 6,
    kv_elements_per_token: 5 * 2 * (32 + 32),
    layer_bytes: 1_900_800,
    other_bytes: 418_560,
  });
});

Deno.test("heads that differ from layer to layer, and head sizes of their own, are added up", async () => {
  const header = await readGgufHeader(tinyGguf().pathname);
  const metadata = new Map(header.metadata);
  metadata.set("llama.attention.head_count_kv", entry({ arrayLength: 5, numbers: [2, 0, 2, 0, 4] }));
  metadata.set("llama.attention.key_length", entry(40));
  metadata.set("llama.feed_forward_length", entry({ arrayLength: 5, numbers: [448, 448, 900, 448, 448] }));
  const shape = shapeOf({ ...header, metadata });
  assert.equal(shape.kv_elements_per_token, (2 + 2 + 4) * (40 + 32));
  assert.equal(shape.feed_forward_length, 900);
});

Deno.test("what the first file of a split model does not list counts as layers", async () => {
  const header = await readGgufHeader(tinyGguf().pathname);
  assert.equal(shapeOf(header, header.sizeBytes + 1_000_000).layer_bytes, 2_900_800);
});

Deno.test("absurd numbers make no absurd shape", async () => {
  const header = await readGgufHeader(tinyGguf().pathname);
  const metadata = new Map(header.metadata);
  for (const key of ["context_length", "embedding_length", "attention.head_count", "attention.key_length"]) {
    metadata.set(`llama.${key}`, entry(NaN));
  }
  const shape = shapeOf({ ...header, metadata, layers: 4_000_000_000 });
  assert.deepEqual([shape.context_length, shape.embedding_length, shape.head_count], [0, 0, 0]);
  assert.ok(shape.layers < 10_000 && Number.isFinite(shape.kv_elements_per_token));
});

Deno.test("a header is read from ranges, a few large ones, and no byte of the weights is asked for twice", async () => {
  const whole = await Deno.readFile(tinyGguf());
  const asked: [number, number][] = [];
  const source = {
    sizeBytes: whole.length,
    read(offset: number, length: number) {
      asked.push([offset, length]);
      return Promise.resolve(whole.subarray(offset, offset + Math.min(length, 50_000))); // short reads are no end
    },
  };
  const header = await readGgufHeaderFrom(source);
  assert.deepEqual(shapeOf(header), shapeOf(await readGgufHeader(tinyGguf().pathname)));
  assert.ok(asked.length <= 4, `${asked.length} reads`);
  assert.ok(Math.max(...asked.map(([offset, length]) => offset + length)) < 400_000, "it stays near the header");
});

Deno.test("a source that ends early is a damaged file", async () => {
  const whole = await Deno.readFile(tinyGguf());
  const read = (offset: number, length: number) =>
    Promise.resolve(whole.subarray(0, 30_000).slice(offset, offset + length));
  await assert.rejects(readGgufHeaderFrom({ sizeBytes: whole.length, read }), { code: "MODEL_LOAD_FAILED" });
});
