import assert from "node:assert/strict";
import { Speed } from "./download_speed.ts";

Deno.test("the speed is that of the last two seconds, in megabytes per second", () => {
  const speed = new Speed(1_000);
  assert.equal(speed.mbPerSecond(1_000), 0);
  for (let ms = 1_100; ms <= 5_000; ms += 100) speed.add(4_520_000, ms);
  assert.equal(speed.mbPerSecond(5_000), 45.2);
  for (let ms = 5_100; ms <= 8_000; ms += 100) speed.add(1_000_000, ms);
  assert.equal(speed.mbPerSecond(8_000), 10, "it forgets what was before");
  assert.ok(speed.mbPerSecond(18_000) < 2, "and falls while nothing comes");
});
