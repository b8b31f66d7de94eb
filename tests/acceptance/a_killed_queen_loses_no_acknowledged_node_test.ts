import assert from "node:assert/strict";
import { SeededRandom } from "../sim/seeded_random.ts";
import { inWorld } from "../support/flows.ts";
import { registryKill, registrySetUp } from "../support/registry_kill.ts";
import { canRunSshd } from "../support/sshd.ts";
import { World } from "../support/world.ts";

const kills = 3;

Deno.test({
  name: "a queen that is killed while nodes are changed loses no acknowledged change (`deno task soak` does 200)",
  ignore: !canRunSshd(),
  fn: () =>
    inWorld(async (world) => {
      const setUp = registrySetUp(world);
      const chance = new SeededRandom(Date.now());
      let acknowledged = 0;
      for (let kill = 1; kill <= kills; kill++) acknowledged += (await registryKill(setUp, chance)).acknowledged;
      assert.ok(acknowledged > 0, "some change was acknowledged");
    }, () => new World()),
});
