import assert from "node:assert/strict";
import { inWorld } from "../support/flows.ts";
import { World } from "../support/world.ts";

Deno.test("what a worker computed is the machine's speed: kept by its hive, and known to the next one", () =>
  inWorld(async (world) => {
    const file = `${world.home}/speeds.json`;
    const infer = async () => {
      const { code, stderr } = await world.run("rbee", [
        "infer",
        "--prompt",
        "hello",
        "--max-tokens",
        "40",
        "--ignore-eos",
      ]);
      assert.equal(code, 0, stderr);
      const { speeds } = JSON.parse(await Deno.readTextFile(file));
      assert.equal(speeds.length, 1);
      return speeds[0];
    };
    const first = await infer();
    assert.deepEqual([first.backend, first.device, first.tasks, first.decode_tokens], ["cpu", 0, 1, 39]);
    assert.ok(first.prefill_tokens > 0 && first.prefill_ms > 0 && first.decode_ms > 0, JSON.stringify(first));
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    assert.equal((await infer()).tasks, 2);
    await world.nothingLeft(4_000);
  }, () => new World()));
