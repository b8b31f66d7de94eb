import assert from "node:assert/strict";
import { readGgufHeader } from "../../native/gguf.ts";
import { LlamaEngine } from "../../native/llama.ts";
import { largeForm, slowGguf } from "./slow_gguf.ts";
import { newTemporaryFolder, removeFolder } from "./temporary.ts";

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = newTemporaryFolder();
  try {
    await work(folder);
  } finally {
    removeFolder(folder);
  }
}

const small = { layers: 3, width: 128, context: 1024 } as const;

Deno.test("a slow model is written once per form, whole or not at all", () =>
  inFolder(async (folder) => {
    const [path, twin] = await Promise.all([slowGguf({ folder, ...small }), slowGguf({ folder, ...small })]);
    assert.equal(path, twin);
    const { mtime } = await Deno.stat(path);
    assert.equal(await slowGguf({ folder, ...small }), path);
    assert.deepEqual((await Deno.stat(path)).mtime, mtime);
    assert.notEqual(await slowGguf({ folder, ...small, seed: 2 }), path);
    assert.equal([...Deno.readDirSync(folder)].length, 2);
    const header = await readGgufHeader(path);
    assert.equal(header.layers, 3);
    assert.equal(header.quantization, "Q8_0");
  }));

Deno.test("a slow model loads and writes text with the embedded model's words", () =>
  inFolder(async (folder) => {
    for (const weights of ["Q8_0", "F16"] as const) {
      const modelPath = await slowGguf({ folder, ...small, weights });
      const signal = new AbortController().signal;
      const settings = { backend: "cpu", device: 0, slots: 1, threads: 1, signal, onProgress: () => {} } as const;
      await using model = await new LlamaEngine().load({ ...settings, modelPath });
      assert.equal(model.facts.layersTotal, 3);
      assert.equal(model.facts.quantization, weights);
      assert.equal(model.facts.contextTokens, 1024);
      const texts = new Set<string>();
      for (const seed of [1, 1, 2]) {
        const sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1, seed };
        const tokens = model.prepare({ prompt: "write a short story", raw: false });
        const options = { slot: 0, tokens, sampling, maxTokens: 100, ignoreEos: true, signal };
        let text = "";
        for await (const piece of model.generate(options)) text += piece.text;
        texts.add(text);
      }
      assert.equal(texts.size, 2, "two seeds, two texts");
      assert.ok([...texts].every((text) => new Set(text).size > 20), "many different letters");
    }
  }));

Deno.test("a context that memory cannot hold is refused before it is made", () =>
  inFolder(async (folder) => {
    const context = 500_000_000;
    const modelPath = await slowGguf({ folder, ...small, context });
    const signal = new AbortController().signal;
    const settings = { backend: "cpu", device: 0, slots: 1, threads: 1, signal, onProgress: () => {} } as const;
    await assert.rejects(new LlamaEngine().load({ ...settings, modelPath, ctxTokensMax: context }), {
      code: "INSUFFICIENT_RAM",
      message: "Cannot load the model: memory is short for the context of 500000000 tokens per slot",
    });
    await using model = await new LlamaEngine().load({ ...settings, modelPath, ctxTokensMax: 2048 });
    assert.equal(model.facts.contextTokens, 2048);
  }));

Deno.test("the large form passes 500 MB", () => {
  const { layers, width } = largeForm;
  assert.ok(layers * width * width * 12 * 2 > 500e6);
});
