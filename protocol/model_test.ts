/// <reference lib="deno.ns" />
import assert from "node:assert/strict";
import { RbeeError } from "./error.ts";
import { parseModelRef, printModelRef, refOfRecord } from "./model.ts";

Deno.test("every form of a reference is read, and printed in one canonical way", () => {
  for (
    const [text, canonical] of [
      ["builtin:tiny", "builtin:tiny"],
      ["tiny", "builtin:tiny"],
      ["file:/models/a.gguf", "file:/models/a.gguf"],
      ["file:///models/a.gguf", "file:/models/a.gguf"],
      ["https://example.org/x/a.gguf", "https://example.org/x/a.gguf"],
      ["hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", "hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF"],
      ["hf:org/repo:Q4_K_M@main", "hf:org/repo:Q4_K_M@main"],
      ["import:my-model.v2", "import:my-model.v2"],
      ["import:ollama/llama3:8b", "import:ollama/llama3:8b"],
    ]
  ) assert.equal(printModelRef(parseModelRef(text)), canonical);
});

Deno.test("an alias of the configuration wins over a built-in one", () => {
  assert.equal(printModelRef(parseModelRef("tiny", { tiny: "file:/x.gguf" })), "file:/x.gguf");
});

Deno.test("what is no reference is refused with the list of forms", () => {
  for (
    const bad of [
      "",
      "tinyllamma",
      "file:relative.gguf",
      "hf:norepo",
      "hf:../x:y",
      "hf:a/b:../../etc",
      "https://x/y.bin",
      "https://u:p@h/a.gguf",
      "builtin:huge",
      "file:/a\u0000b",
      "import:",
      "import:../x",
      "import:a//b",
      "import:a:b:c",
      "import:.hidden",
      "import:a/../b",
      "import:a/b/c/d/e/f/g/h/i",
      "toString",
    ]
  ) {
    assert.throws(
      () => parseModelRef(bad),
      (e) => e instanceof RbeeError && e.code === "INVALID_MODEL_REF" && Array.isArray(e.details.accepted),
      bad,
    );
  }
  const forms = /hf:<org>.*builtin:tiny.*file:.*`rbee models list`.*`rbee models aliases`/;
  assert.throws(() => parseModelRef("mystery"), (e: RbeeError) => forms.test(e.hint));
});

Deno.test("a catalog row is printed as the reference that means it", () => {
  for (
    const [provider, reference, variant, ref] of [
      ["builtin", "tiny", "", "builtin:tiny"],
      ["file", "/m/a.gguf", "", "file:/m/a.gguf"],
      ["http", "https://example.org/a.gguf", "", "https://example.org/a.gguf"],
      ["hf", "org/repo", "", "hf:org/repo"],
      ["hf", "org/repo", "Q4_K_M@abc", "hf:org/repo:Q4_K_M@abc"],
      ["hf", "org/repo", "@abc", "hf:org/repo@abc"],
      ["import", "ollama/llama3", "8b", "import:ollama/llama3:8b"],
    ]
  ) {
    assert.equal(refOfRecord({ provider, reference, variant }), ref);
    assert.equal(printModelRef(parseModelRef(ref)), ref);
  }
});
