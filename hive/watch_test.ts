import assert from "node:assert/strict";
import { limits } from "../protocol/limits.ts";
import { healthDeadlineMs } from "./watch.ts";

Deno.test("a health check ends before the next one is due, and never takes longer than its limit", () => {
  assert.equal(healthDeadlineMs({ healthMs: limits.healthIntervalMs }), limits.healthTimeoutMs);
  for (const healthMs of [100, 1_000, limits.healthTimeoutMs]) {
    const deadlineMs = healthDeadlineMs({ healthMs });
    assert.ok(deadlineMs < healthMs && deadlineMs > healthMs / 2, `${deadlineMs} of ${healthMs}`);
  }
  assert.equal(healthDeadlineMs({ healthMs: 1_000, healthTimeoutMs: 200 }), 200);
});
