import assert from "node:assert/strict";
import { readGgufHeader } from "../../native/gguf.ts";
import { shapeOf } from "../../native/gguf_shape.ts";
import { processMemoryBytes } from "../../native/memory.ts";
import { memoryNeed } from "../../protocol/memory_need.ts";
import { join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { quantize } from "../support/quantize.ts";
import { slowGguf } from "../support/slow_gguf.ts";
import { hasSmollm2, smollm2, smollm2Missing } from "../support/smollm2.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { World } from "../support/world.ts";

const mebibyte = 1024 * 1024;
const tiny = new URL("../../native/tiny/tiny.gguf", import.meta.url).pathname;

interface Load {
  readonly ctx: number;
  readonly slots: number;
}

/** Returns the resident memory of a real worker that has loaded the model and answered in each of its slots. */
async function measured(world: World, model: string, { ctx, slots }: Load): Promise<number> {
  const cwd = join(world.root, "by-hand");
  Deno.mkdirSync(cwd, { recursive: true });
  const file = join(cwd, "model.gguf");
  await Deno.remove(file).catch(() => {}); // the load before left one, or none
  Deno.symlinkSync(model, file);
  const port = world.ports.workerStart;
  const flags = ["--model", "model.gguf", "--port", port, "--ctx", ctx, "--slots", slots, "--threads", 1];
  const worker = world.start("llm-worker-rbee", flags.map(String), { cwd, env: { RBEE_WORKER_KEY: "key" } });
  const base = `http://127.0.0.1:${port}`;
  const headers = { authorization: "Bearer key", "content-type": "application/json" };
  await eventually(async () => (await (await fetch(`${base}/v1/ready`, { headers })).json()).ready, {
    withinMs: 20_000,
    what: "the worker is ready",
    seen: () => worker.account(),
  });
  const body = JSON.stringify({
    prompt: "Say something long about rivers. ".repeat(8),
    max_tokens: 16,
    ignore_eos: true,
  });
  const ask = async () => await (await fetch(`${base}/v1/inference`, { method: "POST", headers, body })).text();
  await Promise.all(Array.from({ length: slots }, ask));
  const bytes = processMemoryBytes(worker.pid);
  worker.signal("SIGKILL");
  await worker.ends(5_000);
  assert.ok(bytes !== undefined, worker.account());
  return bytes;
}

async function compare(name: string, model: string, loads: readonly Load[]): Promise<void> {
  await using world = new World();
  const shape = shapeOf(await readGgufHeader(model));
  for (const load of loads) {
    const real = await measured(world, model, load);
    const { totalBytes } = memoryNeed({ size_bytes: Deno.statSync(model).size, shape }, { backend: "cpu", ...load });
    const mb = (bytes: number) => Math.round(bytes / mebibyte);
    const line = `${name}, ${load.slots} × ${load.ctx} tokens: foretold ${mb(totalBytes)} MB, measured ${mb(real)} MB`;
    console.log(line);
    assert.ok(Math.abs(totalBytes - real) <= Math.max(64 * mebibyte, 0.15 * real), line);
  }
}

Deno.test({
  name: "the built-in model takes as much memory as is foretold, at three contexts and with four slots",
  ignore: Deno.build.os !== "linux", // elsewhere nothing tells a process's resident memory
  fn: () =>
    compare("tiny", tiny, [
      { ctx: 256, slots: 1 },
      { ctx: 1_024, slots: 1 },
      { ctx: 2_048, slots: 1 },
      { ctx: 2_048, slots: 4 },
    ]),
});

Deno.test({
  name: `SmolLM2-135M takes as much memory as is foretold, at three contexts and with four slots${smollm2Missing()}`,
  ignore: !hasSmollm2 || Deno.build.os !== "linux",
  fn: () =>
    compare("SmolLM2-135M", smollm2, [
      { ctx: 512, slots: 1 },
      { ctx: 2_048, slots: 1 },
      { ctx: 8_192, slots: 1 },
      { ctx: 2_048, slots: 4 },
    ]),
});

Deno.test({
  name: "weights that a CPU wants in another order are in memory once, and so are those in 16 bits",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const folder = Deno.makeTempDirSync();
    try {
      const models = join(temporaryFolder(), "rbee-test-models");
      const source = await slowGguf({ folder: models, layers: 12, width: 768 });
      for (const type of ["Q4_0", "F16"] as const) {
        const path = join(folder, `${type}.gguf`);
        await quantize(source, path, type);
        await compare(`random weights in ${type}`, path, [{ ctx: 2_048, slots: 2 }]);
      }
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
});
