import assert from "node:assert/strict";
import { inWorld, steadyModel } from "../support/flows.ts";
import type { Program } from "../support/program.ts";
import { World } from "../support/world.ts";

/** Watches who runs while the programs do: every process id that was ever seen, by program. */
async function watch(world: World, programs: Program[]): Promise<Record<string, Set<number>>> {
  const seen: Record<string, Set<number>> = {
    "queen-rbee": new Set(),
    "rbee-hive": new Set(),
    "llm-worker-rbee": new Set(),
  };
  while (programs.some((p) => p.isRunning)) {
    for (const name of ["queen-rbee", "rbee-hive", "llm-worker-rbee"] as const) {
      for (const { pid } of world.processes(name)) seen[name].add(pid);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return seen;
}

for (const first of ["the first", "the second"]) {
  Deno.test(`two infers on a cold machine, ${first} ends first: one queen, one worker, both succeed, nothing is left`, () =>
    inWorld(async (world) => {
      const model = await steadyModel();
      const start = (tokens: number) =>
        world.start("rbee", [
          "infer",
          "--model",
          model,
          "--prompt",
          "hello",
          "--ignore-eos",
          "--max-tokens",
          `${tokens}`,
        ]);
      const [a, b] = first === "the first" ? [30, 300] : [300, 30];
      const programs = [start(a), start(b)];
      const seen = await watch(world, programs);
      for (const program of programs) {
        const { code, stdout, stderr } = await program.ends(30_000);
        assert.equal(code, 0, stderr);
        assert.match(stdout, /\S/);
      }
      assert.deepEqual(Object.values(seen).map((pids) => pids.size), [1, 1, 1], "one of each was ever there");
      await world.nothingLeft(4_000);
    }, () => new World()));
}
