import assert from "node:assert/strict";
import { durationText, parseDuration } from "./duration.ts";

Deno.test("durations are read in every unit, joined, and with fractions", () => {
  const known: [string, number][] = [
    ["500ms", 500],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["2d", 172_800_000],
    ["1m30s", 90_000],
    ["1.5s", 1_500],
    ["0", 0],
    [" 7s ", 7_000],
  ];
  for (const [text, ms] of known) assert.equal(parseDuration(text), ms, text);
});

Deno.test("what is no duration is refused, a number without a unit among it", () => {
  for (const text of ["", "30", "s", "5 m", "-1s", "1y", "1s!", "1e3s"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

Deno.test("durations are said in the largest unit that fits", () => {
  assert.equal(durationText(200), "200 ms");
  assert.equal(durationText(1_000), "1 second");
  assert.equal(durationText(300_000), "5 minutes");
  assert.equal(durationText(5_400_000), "1.5 hours");
  assert.equal(durationText(172_800_000), "2 days");
});
