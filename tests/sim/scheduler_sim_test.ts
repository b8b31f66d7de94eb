import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { largeRun, RuleBroken, Simulation } from "./simulation.ts";

const seeds = 600;

Deno.test("no seed breaks a rule: each task ends once, no slot is taken twice, nobody waits beside a free one", () => {
  let tasks = 0;
  const done = { spawned: 0, fetched: 0, evicted: 0 };
  const ends = new Set<string>();
  for (let seed = 1; seed <= seeds; seed++) {
    const result = new Simulation(seed).run();
    tasks += result.tasks;
    done.spawned += result.spawned;
    done.fetched += result.fetched;
    done.evicted += result.evicted;
    ok(result.fullest <= 1, `seed ${seed}: workers took ${result.fullest} of a machine's memory`);
    for (const end of Object.keys(result.ends)) ends.add(end);
  }
  ok(tasks > 5 * seeds, `${tasks} tasks are too few to prove anything`);
  ok(done.spawned > seeds && done.fetched > seeds && done.evicted > seeds / 20, JSON.stringify(done));
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
      "failed:NO_NODE",
      "failed:INSUFFICIENT_DISK",
      "failed:MODEL_NOT_FOUND",
      "failed:CONNECTION_TIMEOUT",
    ]
  ) ok(ends.has(end), `no task ended with ${end}`);
});

Deno.test("a thousand machines with five workers each break no rule", () => {
  const result = new Simulation(1, { ...largeRun, tasks: 400 }).run();
  ok(result.spawned > 20 && result.fetched > 5, JSON.stringify(result));
  ok(result.fullest <= 1);
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
