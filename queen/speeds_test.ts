import { ok, strictEqual } from "node:assert/strict";
import type { NodeSpeed } from "../protocol/hive_status.ts";
import { speedOf } from "./speeds.ts";

const gb = 2 ** 30;
const measured = (sizeClass: number, decode: number, more: Partial<NodeSpeed> = {}): NodeSpeed => ({
  ...{ backend: "cpu", device: 0, size_class: sizeClass, tasks: 3 },
  ...{ prefill_tokens_per_second: 5 * decode, decode_tokens_per_second: decode },
  ...more,
});
const cpu = { backend: "cpu" as const, device: 0 };

Deno.test("what was measured with models of that size counts as it is", () => {
  const speed = speedOf([measured(30, 10), measured(32, 3)], cpu, 1.2 * gb);
  strictEqual(speed.decode, 10);
  strictEqual(speed.prefill, 50);
  ok(speed.isMeasured);
});

Deno.test("the nearest size is scaled: twice the weights take twice as long", () => {
  // Class 30 stands for 1.5 GB.
  strictEqual(speedOf([measured(30, 12)], cpu, 6 * gb).decode, 3);
  strictEqual(speedOf([measured(30, 12), measured(33, 1)], cpu, 3 * gb).decode, 6);
});

Deno.test("another device, and a speed of nothing, say nothing: then what such machines usually do is expected", () => {
  const others = [measured(30, 99, { backend: "cuda" }), measured(30, 99, { device: 1 }), measured(30, 0)];
  const speed = speedOf(others, cpu, gb);
  ok(!speed.isMeasured && speed.decode > 1 && speed.decode < 50);
  ok(speedOf(undefined, { backend: "cuda", device: 0 }, gb).decode > speed.decode);
  ok(speedOf(undefined, cpu, 1).decode <= 500);
});

Deno.test("a model of quite another size tells nothing: what takes its time there are not the weights", () => {
  const tiny = measured(21, 20);
  ok(!speedOf([tiny], cpu, 6 * gb).isMeasured);
  ok(speedOf([tiny, measured(30, 12)], cpu, 6 * gb).isMeasured);
});
