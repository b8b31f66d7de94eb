import assert from "node:assert/strict";
import { Tally } from "./test_tally.ts";

function tallyOf(...lines: string[]): Tally {
  const tally = new Tally();
  for (const line of lines) tally.read(line);
  return tally;
}

Deno.test("the sums of deno test become the last line", () => {
  const tally = tallyOf("a works ... ok (3ms)", "ok | 14 passed (30 steps) | 0 failed (2s)");
  assert.equal(tally.summary(), "14 passed, 0 failed");
  assert.equal(tally.isGood({ isStrict: true }), true);
});

Deno.test("a failure makes the run bad, and so does a run in which nothing ran", () => {
  const failed = tallyOf("FAILED | 3 passed | 2 failed | 1 ignored (2s)");
  assert.equal(failed.summary(), "3 passed, 2 failed");
  assert.equal(failed.isGood({ isStrict: false }), false);
  assert.equal(tallyOf("ok | 0 passed | 0 failed (1ms)").isGood({ isStrict: false }), false);
});

Deno.test("what was not run is counted apart, and fails a strict run unless it wants a GPU", () => {
  const sums = "ok | 3 passed | 0 failed | 1 ignored (2s)";
  const gpu = tallyOf("S07 cuda (a.feature:3) [not run: needs an NVIDIA GPU; …] ... ignored (0ms)", sums);
  assert.equal(gpu.summary(), "1 not run\n3 passed, 0 failed");
  assert.equal(gpu.isGood({ isStrict: true }), true);
  const other = tallyOf("./a_test.ts => S01 ssh (a.feature:3) [not run: needs sshd; …] ... ignored (0ms)", sums);
  assert.deepEqual(other.notRun, ["S01 ssh (a.feature:3) [not run: needs sshd; …]"]);
  assert.equal(other.isGood({ isStrict: false }), true);
  assert.equal(other.isGood({ isStrict: true }), false);
});

Deno.test("an ignored step of a failed scenario is no test that was not run", () => {
  assert.deepEqual(tallyOf("  Then it ends ... ignored (0ms)").notRun, []);
});
