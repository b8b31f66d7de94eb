import assert from "node:assert/strict";
import { canRunCluster, clusterMissing } from "../support/cluster.ts";
import { faultRuns } from "../support/faults.ts";
import { killFaults } from "../support/kill_faults.ts";
import { onNodes } from "../support/nodes.ts";

const atOnce = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

Deno.test({
  name: `a queen or keeper that is killed leaves nothing on another machine${clusterMissing()}`,
  ignore: !canRunCluster(),
  ...atOnce,
  fn: (t) =>
    onNodes(killFaults.map(({ name }) => name), async (nodes) => {
      const passed = await Promise.all(killFaults.map(({ name, what, promise, play }) =>
        t.step({
          name: `SIGKILL at ${what}: ${promise}`,
          ...atOnce,
          async fn() {
            const world = nodes.addWorld();
            const node = await nodes.add(name, world);
            for (let run = 1; run <= faultRuns; run++) {
              await play(node);
              await nodes.down(world);
            }
          },
        })
      ));
      assert.ok(passed.every((one) => one), "one of them left something");
    }),
});
