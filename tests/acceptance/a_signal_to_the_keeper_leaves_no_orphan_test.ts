import assert from "node:assert/strict";
import { faultRuns, midStream } from "../support/faults.ts";
import { inWorld, nextInferWorks } from "../support/flows.ts";
import { World } from "../support/world.ts";

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`${signal} at the keeper mid-stream: the whole ephemeral tree ends, and the next infer works`, () =>
    midStream({ program: "rbee", signal }));

  Deno.test(`${signal} at a keeper that waits: the daemons do not mind, and the next infer works`, () =>
    inWorld(async (world) => {
      assert.equal((await world.run("rbee", ["up"])).code, 0);
      for (let run = 1; run <= faultRuns; run++) {
        await nextInferWorks(world);
        const before = world.processes().map((p) => p.pid).toSorted();
        const keeper = world.start("rbee", ["logs", "--follow"]);
        await keeper.sees(/\S/, { withinMs: 5_000 });
        keeper.signal(signal);
        await keeper.ends(3_000);
        assert.deepEqual(world.processes().map((p) => p.pid).toSorted(), before);
      }
      await nextInferWorks(world);
    }, () => new World()));
}
