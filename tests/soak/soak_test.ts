import assert from "node:assert/strict";
import { faults } from "./faults.ts";
import { parseSoakFlags } from "./flags.ts";
import { Tally } from "./report.ts";
import { chanceOf } from "./soak.ts";

Deno.test("each program is struck by both signals at each moment, and every fault has a name of its own", () => {
  const names = faults().map((fault) => fault.name);
  assert.equal(new Set(names).size, names.length);
  for (const program of ["keeper", "queen", "hive", "worker"]) {
    for (const moment of ["starting", "mid-stream", "mid-stream-up", "at-rest"]) {
      for (const verb of ["term", "kill"]) assert.ok(names.includes(`${verb}-${program}-${moment}`));
    }
  }
  for (const moment of ["queued", "loading", "before-token", "mid-stream"]) {
    assert.ok(names.includes(`ctrl-c-${moment}`));
  }
});

Deno.test("the same seed strikes at the same moment, another round at another", () => {
  const first = (seed: number, round: number) => chanceOf(seed, "kill-queen-starting", round).between(0, 1_000_000);
  assert.equal(first(7, 1), first(7, 1));
  assert.notEqual(first(7, 1), first(7, 2));
  assert.notEqual(first(7, 1), first(8, 1));
});

Deno.test("a flag that cannot be used is named, and what is left out has its default", () => {
  assert.match(String(parseSoakFlags(["--rounds", "many"])), /--rounds/);
  assert.match(String(parseSoakFlags(["--rounds", "0"])), /--rounds/);
  assert.match(String(parseSoakFlags(["--minutes", "-1"])), /--minutes/);
  assert.match(String(parseSoakFlags(["--wrong"])), /--wrong/);
  const flags = parseSoakFlags(["--only", "hive", "--seed", "3"]);
  assert.deepEqual(flags, { rounds: 20, seed: 3, only: "hive", minutes: undefined, list: false });
});

Deno.test("a fault's line tells counts, the worst time and the exit codes; one failure makes it bad", () => {
  const tally = new Tally("kill-hive");
  assert.equal(tally.isGood, false, "what was never played has not passed");
  tally.passed({ goneMs: 900, exits: ["1"] });
  tally.passed({ goneMs: 1_240, exits: ["1", "SIGKILL"] });
  assert.match(tally.line(), /^✓ kill-hive +2 rounds, 0 failed; gone after 1\.24 s at worst.*exits 1 × 2, SIGKILL × 1/);
  tally.passed({ goneMs: 900, exits: [], counts: { "acknowledged changes": 3 } });
  tally.passed({ goneMs: 900, exits: [], counts: { "acknowledged changes": 4 } });
  assert.match(tally.line(), /; 7 acknowledged changes$/);
  tally.failed({ round: 3, message: "left" });
  assert.match(tally.line(), /^✗ kill-hive +5 rounds, 1 failed/);
});
