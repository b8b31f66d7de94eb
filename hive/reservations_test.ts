import assert from "node:assert/strict";
import { isUnified, machineLess, reservationOf } from "./reservations.ts";

const need = { totalBytes: 1_100, hostBytes: 100, deviceBytes: 1_000, mappedBytes: 40, contextBytes: 200 };
const holder = { need, backend: "cuda", device: 0, isLoading: true, heldBytes: 0, loadedShare: 0 } as const;
const at = { backend: "cuda", device: 0 } as const;

Deno.test("a worker that loads keeps what it does not hold yet, one that has loaded its mapped weights alone", () => {
  assert.deepEqual(reservationOf(holder), { hostBytes: 100, deviceBytes: 1_000, ...at });
  assert.deepEqual(reservationOf({ ...holder, heldBytes: 30, loadedShare: 0.5 }), {
    hostBytes: 70,
    deviceBytes: 600,
    ...at,
  });
  assert.deepEqual(reservationOf({ ...holder, heldBytes: 500 }).hostBytes, 0, "more than foretold is no debt");
  assert.deepEqual(reservationOf({ ...holder, isLoading: false }), { hostBytes: 40, deviceBytes: 0, ...at });
  assert.equal(reservationOf({ ...holder, isLoading: false, mappedBytes: 15 }).hostBytes, 15, "weights laid out anew");
});

Deno.test("reserved memory is gone from the machine, and from both sides where they share it", () => {
  const gpu = { backend: "metal", index: 0, name: "M", memory_total_bytes: 800, memory_free_bytes: 700 } as const;
  const machine = { memory_total_bytes: 1_000, memory_available_bytes: 900, gpus: [gpu] };
  assert.equal(machineLess(machine, []), machine);
  const less = machineLess(machine, [{ hostBytes: 50, deviceBytes: 300, backend: "metal", device: 0 }]);
  assert.equal(less.memory_available_bytes, 550);
  assert.equal(less.gpus[0].memory_free_bytes, 350);
  const gone = machineLess(machine, [{ hostBytes: 5_000, deviceBytes: 0, backend: "cpu", device: 0 }]);
  assert.deepEqual([gone.memory_available_bytes, gone.gpus[0].memory_free_bytes], [0, 0]);
  assert.ok(isUnified({ ...gpu, backend: "cuda", memory_total_bytes: 1_000 }, machine), "as detection tells of a GB10");
  assert.ok(!isUnified({ ...gpu, backend: "cuda" }, machine));
});
