import assert from "node:assert/strict";
import { type ModelRef, parseModelRef } from "../protocol/model.ts";
import type { RbeeError } from "../protocol/error.ts";
import { hubRow } from "./model_match.ts";
import { canonicalVariant, filesOfModel, hubPlaceOf, quantOfName, splitOf } from "./model_names.ts";
import { placeOf } from "./model_places.ts";

const row = (variant: string, file: string, more: { quantization?: string; damaged?: boolean } = {}) => ({
  variant,
  local_path: file.startsWith("/") ? file : `/m/hf/o/r/${file}`,
  quantization: more.quantization ?? null,
  size_bytes: 1,
  damaged: more.damaged ?? false,
});
const means = (text: string, rows: ReturnType<typeof row>[]) =>
  hubRow(parseModelRef(text) as ModelRef & { provider: "hf" }, rows, "/m");

const q4 = row("Q4_K_M", "main/model.Q4_K_M.gguf");
const q8 = row("Q8_0", "main/sub/model.Q8_0.gguf");
const old = row("Q4_K_M@v1", "v1/model.Q4_K_M.gguf");
const commit = row(`Q4_K_M@${"c".repeat(40)}`, `${"c".repeat(40)}/model.Q4_K_M.gguf`);
const all = [q4, q8, old, commit];

Deno.test("a reference means the row of its variant, however the variant is written", () => {
  for (const text of ["hf:o/r:Q4_K_M", "hf:o/r:q4_k_m", "hf:o/r:model.Q4_K_M.gguf", "hf:o/r:model.Q4_K_M"]) {
    assert.equal(means(text, all), q4, text);
    assert.equal(means(`${text}@main`, all), q4, "a branch that everybody means");
  }
  for (const text of ["hf:o/r:Q8_0", "hf:o/r:sub/model.Q8_0.gguf", "hf:o/r:model.Q8_0.gguf"]) {
    assert.equal(means(text, all), q8, text);
  }
  assert.equal(means("hf:o/r:Q5_0", all), undefined);
});

Deno.test("a pinned model is meant only by its revision, and a commit also by its beginning", () => {
  assert.equal(means("hf:o/r:Q4_K_M@v1", all), old);
  assert.equal(means("hf:o/r@v1", all), old);
  assert.equal(means("hf:o/r:Q4_K_M@ccccccc", all), commit);
  assert.equal(means("hf:o/r:Q4_K_M@cccccc", all), undefined, "six digits are too few");
  assert.equal(means("hf:o/r:Q4_K_M", [old, commit]), undefined);
});

Deno.test("without a variant the only one is meant, of several none", () => {
  assert.equal(means("hf:o/r", [q8, old]), q8);
  assert.throws(() => means("hf:o/r", all), (error: RbeeError) => {
    assert.equal(error.code, "MODEL_AMBIGUOUS");
    const variants = error.details.variants as { name: string }[];
    return variants.map(({ name }) => name).join() === "model.Q4_K_M.gguf,sub/model.Q8_0.gguf";
  });
  assert.equal(means("hf:o/r", []), undefined);
});

Deno.test("a row of the original's form is found by its repository, and by what its header says (S15)", () => {
  const s15 = row("", "/models/tinyllama-q4.gguf", { quantization: "Q4_K_M" });
  assert.equal(means("hf:o/r", [s15]), s15);
  assert.equal(means("hf:o/r:Q4_K_M", [s15]), s15);
  assert.equal(means("hf:o/r:tinyllama-q4.gguf", [s15]), s15);
});

Deno.test("what a header says is no name where the file's own says something else", () => {
  const large = row("Q4_K_L", "main/model-Q4_K_L.gguf", { quantization: "Q4_K_M" });
  assert.equal(means("hf:o/r:Q4_K_M", [large]), undefined, "the hub has that one too");
  assert.equal(means("hf:o/r:Q4_K_L", [large]), large);
  const silent = row("model.gguf", "main/model.gguf", { quantization: "Q4_K_M" });
  assert.equal(means("hf:o/r:Q4_K_M", [silent]), silent);
});

Deno.test("a damaged one is meant only when there is no other", () => {
  const broken = row("Q4_K_M", "main/a.Q4_0.gguf", { damaged: true });
  const whole = row("b.gguf", "main/b.Q4_0.gguf");
  assert.equal(means("hf:o/r:q4_0", [broken, whole]), whole);
  assert.equal(means("hf:o/r:q4_0", [broken]), broken);
});

Deno.test("a variant is written one way", () => {
  for (
    const [variant, canonical] of [
      ["q4_k_m", "Q4_K_M"],
      ["Q4_K_M@main", "Q4_K_M"],
      ["q4_k_m@v1", "Q4_K_M@v1"],
      ["model.Q4_K_M.gguf", "model.Q4_K_M.gguf"],
      ["@main", ""],
      ["", ""],
    ]
  ) assert.equal(canonicalVariant(variant, "/m/hf/o/r/main/model.Q4_K_M.gguf"), canonical);
});

Deno.test("names tell quantization, split and place", () => {
  for (
    const [name, quant] of [
      ["tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", "Q4_K_M"],
      ["model-q8_0.gguf", "Q8_0"],
      ["gemma-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"],
      ["llama-IQ2_XXS-00002-of-00003.gguf", "IQ2_XXS"],
      ["Q6_K/model.gguf", "Q6_K"],
      ["phi-3-fp16.gguf", "FP16"],
      ["qwen2.gguf", undefined],
      ["Q4matters.gguf", undefined],
    ] as const
  ) assert.equal(quantOfName(name), quant, name);
  assert.deepEqual(splitOf("/x/a-00002-of-00003.gguf"), { stem: "a", number: 2, count: 3 });
  for (
    const odd of ["a-00000-of-00003.gguf", "a-00004-of-00003.gguf", "a-00001-of-99999.gguf", "-00001-of-00002.gguf"]
  ) {
    assert.equal(splitOf(odd), undefined, odd);
  }
  assert.deepEqual(filesOfModel("/x/a-00002-of-00002.gguf"), ["/x/a-00001-of-00002.gguf", "/x/a-00002-of-00002.gguf"]);
  const ref = { provider: "hf", org: "o", repo: "r" } as const;
  assert.deepEqual(hubPlaceOf(placeOf({ ...ref, revision: "refs/pr/1" }, "sub/a.gguf")), {
    repository: "o/r",
    revision: "refs/pr/1",
    file: "sub/a.gguf",
  });
  assert.deepEqual(hubPlaceOf(placeOf(ref, "a.gguf")), { repository: "o/r", revision: undefined, file: "a.gguf" });
  assert.equal(hubPlaceOf("import/a.gguf"), undefined);
});
