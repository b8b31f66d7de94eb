import assert from "node:assert/strict";
import type { Plan } from "../../protocol/plan.ts";
import { eventually } from "../support/eventually.ts";
import { HubWorld, modelOf } from "../support/hub_world.ts";

const megabyte = 1024 * 1024;
const first = "hf:acme/one-GGUF:Q4_K_M";
const second = "hf:acme/two-GGUF:Q4_K_M";

Deno.test("an idle worker ends when its memory is needed for another model; the machine holds one at a time", async () => {
  await using at = new HubWorld();
  const { world, hub } = at;
  await hub.add("acme/one-GGUF", { "one-Q4_K_M.gguf": modelOf(4 * megabyte, 1) });
  await hub.add("acme/two-GGUF", { "two-Q4_K_M.gguf": modelOf(4 * megabyte, 2) });
  const machine = `${world.root}/machine.json`;
  const describe = (freeMb: number) =>
    Deno.writeTextFileSync(
      machine,
      JSON.stringify({ memory_total_bytes: 16_000 * megabyte, memory_available_bytes: freeMb * megabyte, gpus: [] }),
    );
  describe(8_000);
  world.configure({ hive: { probe: ["/bin/cat", machine] } });
  const run = async (...args: string[]) => {
    const ran = await world.run("rbee", args, { withinMs: 60_000 });
    assert.equal(ran.code, 0, ran.stderr + world.report());
    return ran;
  };
  const models = async () => (await world.workers()).map((w) => w.model_ref);
  const infer = (model: string) => run("infer", "--model", model, "--prompt", "hello", "--max-tokens", "4");
  await world.up();
  const plan = JSON.parse((await run("plan", "--model", first, "--json")).stdout) as Plan;
  // Enough for one, and not for a second beside the weights that the first has mapped.
  describe(plan.rows[0].required_mb! + 1);

  await infer(first);
  assert.deepEqual(await models(), [first]);
  assert.match((await infer(second)).stderr, /🧹 Making room on local: worker-\w+ is idle and ends/);
  await eventually(async () => (await models()).join() === second, {
    withinMs: 10_000,
    what: "only the second is left",
  });
  assert.match((await infer(first)).stderr, /🧹 Making room on local/);
  await world.down();
});
