import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelFacts } from "../protocol/model.ts";
import { ModelBook } from "./model_facts.ts";

const facts = (ref: string, size = 1): ModelFacts => ({
  ...{ ref, size_bytes: size, digest: null, quantization: null, shape: null },
});

Deno.test("what a hub said is good for a while, under the name that was asked and the canonical one", () => {
  const book = new ModelBook();
  book.learn("hf:o/r", facts("hf:o/r:Q4"), 0);
  strictEqual(book.canonical("hf:o/r", limits.modelFactsMs), "hf:o/r:Q4");
  strictEqual(book.facts("hf:o/r:Q4", 1)?.size_bytes, 1);
  strictEqual(book.facts("hf:o/r", limits.modelFactsMs + 1), undefined);
});

Deno.test("what lies on a disk needs no hub, as long as it lies on one", () => {
  const book = new ModelBook();
  book.show("a", [facts("m", 7)]);
  book.show("b", [facts("m", 7)]);
  strictEqual(book.facts("m", 1e12)?.size_bytes, 7);
  book.show("a", []);
  strictEqual(book.facts("m", 1e12)?.size_bytes, 7);
  book.forget("b");
  strictEqual(book.facts("m", 1e12), undefined);
});

Deno.test("what has just arrived counts before its hive shows it, and once", () => {
  const book = new ModelBook();
  book.arrived("a", facts("m"));
  book.arrived("a", facts("m"));
  deepStrictEqual([...book.on("a")], ["m"]);
  book.show("a", []);
  strictEqual(book.facts("m", 0), undefined);
});

Deno.test("a name without a quant means what lies on a disk only when that is one", () => {
  const book = new ModelBook();
  book.show("a", [facts("hf:o/r:Q4"), facts("hf:o/r2:Q4")]);
  strictEqual(book.likeOnDisk("hf:o/r")?.ref, "hf:o/r:Q4");
  book.show("b", [facts("hf:o/r:Q8")]);
  strictEqual(book.likeOnDisk("hf:o/r"), undefined);
});

Deno.test("of models that were asked for long ago nothing is kept", () => {
  const book = new ModelBook();
  for (let n = 0; n <= limits.modelFactsKeptMax; n++) book.learn(`m${n}`, facts(`m${n}`), 0);
  strictEqual(book.facts("m0", 0), undefined);
  strictEqual(book.facts("m1", 0)?.ref, "m1");
  book.fail("x", new RbeeError("MODEL_NOT_FOUND"), 0);
  strictEqual(book.failure("x")?.code, "MODEL_NOT_FOUND");
  book.ask("x");
  strictEqual(book.failure("x"), undefined);
});
