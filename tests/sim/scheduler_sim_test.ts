import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { RuleBroken, Simulation } from "./simulation.ts";

const seeds = 600;

Deno.test("no seed breaks a rule: each task ends once, no slot is taken twice, nobody waits beside a free one", () => {
  let tasks = 0;
  const ends = new Set<string>();
  for (let seed = 1; seed <= seeds; seed++) {
    const result = new Simulation(seed).run();
    tasks += result.tasks;
    for (const end of Object.keys(result.ends)) ends.add(end);
  }
  ok(tasks > 5 * seeds, `${tasks} tasks are too few to prove anything`);
  // The faults must really have happened, or the run proves nothing.
  for (
    const end of [
      "done",
      "failed",
      "cancelled",
      "cancelled:REQUEST_CANCELED",
      "failed:ALL_SLOTS_BUSY",
      "failed:WORKER_CRASHED",
      "failed:WORKER_FAILED",
      "failed:CONNECTION_LOST",
      "failed:LOADING_TIMEOUT",
      "failed:MODEL_LOAD_FAILED",
      "failed:HIVE_START_FAILED",
      "failed:REQUEST_TIMEOUT",
      "failed:SHUTTING_DOWN",
      "failed:NODE_NOT_FOUND",
      "failed:VRAM_EXHAUSTED",
    ]
  ) ok(ends.has(end), `no task ended with ${end}`);
});

Deno.test("a seed replays exactly", () => {
  const first = new Simulation(4711);
  const second = new Simulation(4711);
  deepStrictEqual(first.run(), second.run());
  deepStrictEqual(first.trace, second.trace);
  notStrictEqual(new Simulation(4712).run().digest, new Simulation(4711).run().digest);
});

Deno.test("a broken rule names its seed and the line that replays it", () => {
  throws(() => {
    throw new RuleBroken(42, "task-1 ended twice", []);
  }, (error: Error) => {
    strictEqual(error.message, "seed 42: task-1 ended twice\n  replay: deno task sim --seed 42 --runs 1 --trace");
    return true;
  });
});
