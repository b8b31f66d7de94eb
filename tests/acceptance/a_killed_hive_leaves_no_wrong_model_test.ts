import { SeededRandom } from "../sim/seeded_random.ts";
import { downloadKill, killWorld } from "../support/download_kill.ts";
import { faultRuns } from "../support/faults.ts";

Deno.test("a hive that is killed while it fetches a model leaves nothing wrong; the next one goes on", async () => {
  await using at = await killWorld();
  try {
    for (let run = 1; run <= faultRuns; run++) await downloadKill(at, new SeededRandom(run));
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.stack : error}\n${at.world.report()}`, { cause: error });
  }
});
