import assert from "node:assert/strict";
import type { Machine } from "../protocol/node.ts";
import { describe, detectText } from "./detect.ts";

const gpu = { backend: "cuda" as const, name: "Card", memory_total_bytes: 24e9, memory_free_bytes: 12e9 };
const machine: Machine = {
  hostname: "box",
  platform: "linux-x64",
  cpu_cores: 2,
  memory_total_bytes: 8e9,
  memory_available_bytes: 4e9,
  gpus: [{ ...gpu, index: 0 }, { ...gpu, index: 1 }],
};

Deno.test("detect shows backends, counts, the total and both registry texts", () => {
  const told = describe(machine);
  assert.deepEqual(told.backends, [{ name: "cpu", devices: 1 }, { name: "cuda", devices: 2 }]);
  assert.equal(told.devices_total, 3);
  assert.equal(told.registry.backends, '["cpu","cuda"]');
  assert.equal(told.registry.devices, '{"cpu":1,"cuda":2}');
  const text = detectText(machine);
  for (const part of ["box", "cuda    2 devices", "Total: 3 devices", '["cpu","cuda"]', '{"cpu":1,"cuda":2}']) {
    assert.ok(text.includes(part), part);
  }
});

Deno.test("a machine without GPUs has the CPU", () => {
  assert.equal(describe({ ...machine, gpus: [] }).registry.devices, '{"cpu":1}');
});
