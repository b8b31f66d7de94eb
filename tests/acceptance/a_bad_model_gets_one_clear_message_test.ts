import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { assertOneClearError, inWorld, nextInferWorks } from "../support/flows.ts";
import { World } from "../support/world.ts";

const tiny = new URL("../../native/tiny/tiny.gguf", import.meta.url);

/** Writes a file into the world and returns its reference. */
function file(world: World, name: string, bytes: Uint8Array): string {
  const path = join(world.root, name);
  Deno.writeFileSync(path, bytes);
  return `file:${path}`;
}

/** Random bytes, the same in every run. */
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => (state = state * 48_271 % 2_147_483_647) & 255);
}

const badModels: Record<string, { ref: (world: World) => string; code: RegExp }> = {
  "a file that is not there": { ref: (w) => `file:${join(w.root, "none.gguf")}`, code: /^MODEL_NOT_FOUND$/ },
  "a folder": { ref: (w) => `file:${w.root}`, code: /^MODEL_(NOT_FOUND|LOAD_FAILED)$/ },
  "a file of noise": { ref: (w) => file(w, "noise.gguf", noise(100_000)), code: /^MODEL_(LOAD_FAILED|INCOMPATIBLE)$/ },
  "an empty file": { ref: (w) => file(w, "empty.gguf", new Uint8Array()), code: /^MODEL_(LOAD_FAILED|INCOMPATIBLE)$/ },
  "a truncated GGUF": {
    ref: (w) => file(w, "half.gguf", Deno.readFileSync(tiny).subarray(0, 1_200_000)),
    code: /^MODEL_LOAD_FAILED$/,
  },
  "a GGUF cut in its header": {
    ref: (w) => file(w, "head.gguf", Deno.readFileSync(tiny).subarray(0, 900)),
    code: /^MODEL_LOAD_FAILED$/,
  },
  "a GGUF with damaged metadata": {
    ref: (w) => {
      const bytes = Deno.readFileSync(tiny);
      bytes.set(noise(400), 40);
      return file(w, "damaged.gguf", bytes);
    },
    code: /^MODEL_(LOAD_FAILED|INCOMPATIBLE)$/,
  },
  "a name without a provider": { ref: () => "nosuchmodel", code: /^INVALID_MODEL_REF$/ },
  "a relative path": { ref: () => "file:models/x.gguf", code: /^INVALID_MODEL_REF$/ },
};

Deno.test("each bad model gets one message with its code, every daemon lives on, the next infer works", async (t) => {
  await inWorld(async (world) => {
    assert.equal((await world.run("rbee", ["up"])).code, 0);
    await nextInferWorks(world);
    const daemons = [world.queenPid(), world.hivePid()];
    for (const [what, { ref, code }] of Object.entries(badModels)) {
      await t.step(what, async () => {
        const finished = await world.run("rbee", ["infer", "--model", ref(world), "--prompt", "secret words"]);
        assert.match(assertOneClearError(finished), code);
        assert.equal(finished.stdout, "");
        assert.ok(!finished.stderr.includes("secret words"), "the prompt is nobody's business");
      });
    }
    assert.deepEqual([world.queenPid(), world.hivePid()], daemons, "every daemon lives on");
    await nextInferWorks(world);
    assert.equal(world.processes("llm-worker-rbee").length, 1, "no failed worker is left");
  }, () => new World());
});
