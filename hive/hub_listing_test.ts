import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import type { ModelVariant } from "../protocol/model.ts";
import { candidatesOf, checkFilePath, choose, quantizationOf } from "./hub_listing.ts";

const file = (path: string, size = 1_000) => ({ path, size, sha256: null });
const repo = "hf:acme/model";

/** A repository as they are found at the hub. */
const usual = candidatesOf([
  ...["README.md", "config.json", "mmproj-model-f16.gguf", "model.imatrix.gguf", "imatrix.dat"].map((p) => file(p)),
  file("model-Q2_K.gguf", 2_000),
  file("model-Q4_K_M.gguf", 4_000),
  file("model-IQ4_XS.gguf", 3_500),
  file("model-Q4_K_S.gguf", 3_800),
  file("Q8_0/model-Q8_0-00002-of-00002.gguf", 3_000),
  file("Q8_0/model-Q8_0-00001-of-00002.gguf", 5_000),
  file("model-BF16-00001-of-00003.gguf", 9_000),
]);

function refusal(variant: string | undefined, memoryBytes?: number, candidates = usual): RbeeError {
  try {
    choose(candidates, { repo, variant, memoryBytes });
  } catch (error) {
    if (error instanceof RbeeError) return error;
    throw error;
  }
  throw new Error("Cannot see a refusal: something was chosen");
}

Deno.test("the models of a repository are its whole GGUF files; what lies beside them is none", () => {
  assert.deepEqual(usual.map(({ name }) => name), ["Q2_K", "Q4_K_M", "IQ4_XS", "Q4_K_S", "Q8_0"]);
  const split = usual.find(({ name }) => name === "Q8_0");
  assert.equal(split?.sizeBytes, 8_000);
  assert.deepEqual(split?.files.map(({ size }) => size), [5_000, 3_000], "parts are in order");
});

Deno.test("a variant is found by quantisation, file name, path, folder or a piece of the name, in any case", () => {
  const name = (variant: string) => choose(usual, { repo, variant }).name;
  for (const text of ["Q4_K_M", "q4_k_m", "model-Q4_K_M.gguf", "model-q4_k_m"]) assert.equal(name(text), "Q4_K_M");
  for (const text of ["Q8_0", "q8_0", "Q8_0/model-Q8_0-00001-of-00002.gguf", "model-Q8_0", "model-Q8_0.gguf"]) {
    assert.equal(name(text), "Q8_0");
  }
  assert.equal(name("iq4_xs"), "IQ4_XS");
  const folders = candidatesOf([file("UD/model.gguf"), file("plain/model.gguf")]);
  assert.equal(choose(folders, { repo, variant: "ud" }).name, "UD/model.gguf");
  const sizes = candidatesOf([file("model-7b.gguf"), file("model-13b.gguf")]);
  assert.equal(choose(sizes, { repo, variant: "13b" }).name, "model-13b.gguf");
});

Deno.test("one model needs no variant; of several the list tells sizes and what fits, and the hint names one", () => {
  assert.equal(choose(candidatesOf([file("any.gguf")]), { repo }).name, "any.gguf");
  const error = refusal(undefined, 5_000);
  assert.equal(error.code, "MODEL_AMBIGUOUS");
  const variants = error.details.variants as ModelVariant[];
  assert.deepEqual(variants.map(({ fits }) => fits), [true, true, true, true, false]);
  assert.equal(variants[4].size_bytes, 8_000);
  assert.match(error.hint, /hf:acme\/model:Q4_K_M/);
  assert.match(refusal(undefined, 2_500).hint, /:Q2_K/, "the one that fits");
  assert.match(refusal(undefined, 10).hint, /none of them fits/);
  assert.deepEqual((refusal(undefined).details.variants as ModelVariant[])[0].fits, null);
});

Deno.test("what is not there is told with what there is", () => {
  const error = refusal("Q5_K_M");
  assert.equal(error.code, "MODEL_NOT_FOUND");
  assert.match(error.message, /it has Q2_K, Q4_K_M/);
  assert.match(refusal(undefined, undefined, candidatesOf([file("a.bin")])).message, /no GGUF file/);
  const twice = candidatesOf([file("a/m-Q4_0.gguf"), file("b/m-Q4_0.gguf")]);
  const ambiguous = refusal("Q4_0", undefined, twice);
  assert.equal(ambiguous.code, "MODEL_AMBIGUOUS");
  assert.deepEqual((ambiguous.details.variants as ModelVariant[]).map(({ name }) => name), [
    ...["a/m-Q4_0.gguf", "b/m-Q4_0.gguf"],
  ]);
});

Deno.test("a quantisation's name is read from a file's name or its folder's", () => {
  const names: Record<string, string | null> = {
    "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf": "Q4_K_M",
    "SmolLM2-135M-Instruct-Q8_0.gguf": "Q8_0",
    "qwen2.5-0.5b-instruct-q5_k_m.gguf": "Q5_K_M",
    "model-f16.gguf": "F16",
    "gpt-oss-20b-MXFP4.gguf": "MXFP4",
    "X-UD-Q4_K_XL-00001-of-00002.gguf": "UD-Q4_K_XL",
    "IQ2_XXS/model.gguf": "IQ2_XXS",
    "model.gguf": null,
  };
  for (const [path, name] of Object.entries(names)) assert.equal(quantizationOf(path), name, path);
});

Deno.test("only paths that stay in their folder pass", () => {
  for (const path of ["a.gguf", "Q4/a-b_c.gguf", "with space.gguf", "ünïcode.gguf", "...gguf"]) checkFilePath(path);
  const bad = [
    "",
    "/a",
    "a/",
    "../a",
    "a/../b",
    "./a",
    "a//b",
    "a\\b",
    "a\u0000b",
    "a\u007fb",
    "a\ud800b",
    "x".repeat(241),
  ];
  for (const path of bad) assert.throws(() => checkFilePath(path), /not safe/, JSON.stringify(path));
  assert.throws(() => candidatesOf([file("../../etc/x.gguf")]), /not safe/);
});
