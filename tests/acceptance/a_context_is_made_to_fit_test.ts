import assert from "node:assert/strict";
import type { WorkerRecord } from "../../protocol/worker.ts";
import { join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { slowGguf } from "../support/slow_gguf.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { World } from "../support/world.ts";

const megabyte = 1024 * 1024;

/** 14 MB of weights, and 8 KB a token: with its 32,768 tokens it wants about 420 MB. */
const form = { folder: join(temporaryFolder(), "rbee-test-models"), layers: 4, width: 512, context: 32_768 };

async function loaded(world: World, id: string): Promise<WorkerRecord> {
  return await eventually(async () => {
    const record = (await world.workers()).find((worker) => worker.id === id);
    return record?.state === "idle" ? record : undefined;
  }, { withinMs: 10_000, what: `${id} has loaded`, seen: () => world.report() });
}

Deno.test("a context that nobody asked for is made to fit; one that was asked for is refused with one that fits", async () => {
  await using world = new World();
  const machine = join(world.root, "machine.json");
  const described = { memory_total_bytes: 16_000 * megabyte, memory_available_bytes: 300 * megabyte, gpus: [] };
  Deno.writeTextFileSync(machine, JSON.stringify(described));
  world.configure({ hive: { probe: ["/bin/cat", machine] } });
  await world.startHive();
  const model_ref = `file:${await slowGguf(form)}`;
  const spawn = (ctx?: number) =>
    world.call({ who: "hive" }, "POST /v1/workers/spawn", { body: { model_ref, backend: "cpu", device: 0, ctx } });

  const refused = await spawn(32_768);
  assert.equal(refused.json.error.code, "VRAM_EXHAUSTED", refused.text);
  const { details } = refused.json.error;
  assert.equal(Number(details.available), 300);
  const ctx = Number(details.ctx_that_fits);
  assert.ok(ctx >= 8_192 && ctx < 32_768, refused.text);

  const unasked = await spawn();
  assert.equal(unasked.status, 200, unasked.text);
  const first = await loaded(world, String(unasked.json.worker_id));
  assert.equal(first.ctx, 8_192, "the largest half of what it was trained for that leaves room");
  await world.call({ who: "hive" }, `POST /v1/workers/${first.id}/shutdown`);
  await eventually(async () => (await world.workers()).length === 0, { withinMs: 10_000, what: "it is gone" });

  const asked = await spawn(ctx);
  assert.equal(asked.status, 200, asked.text);
  assert.equal((await loaded(world, String(asked.json.worker_id))).ctx, ctx);
});
