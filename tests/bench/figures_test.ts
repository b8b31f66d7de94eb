import assert from "node:assert/strict";
import { median, percentile } from "./figures.ts";

Deno.test("the median is the middle value, or the mean of the middle two", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert(Number.isNaN(median([])));
});

Deno.test("a percentile is one of the values", () => {
  const values = Array.from({ length: 100 }, (_none, at) => 100 - at);
  assert.deepEqual([percentile(values, 0), percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)], [
    1,
    51,
    100,
    100,
  ]);
});
