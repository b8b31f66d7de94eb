import assert from "node:assert/strict";
import type { WorkerRecord } from "../protocol/worker.ts";
import { openLog } from "../runtime/log.ts";
import { MachineReader } from "./machine.ts";
import { pictures } from "./picture.ts";

const record = (state: WorkerRecord["state"]): WorkerRecord => ({
  ...{ id: "w", url: "http://127.0.0.1:8081", port: 8081, model_ref: "builtin:tiny", backend: "cpu", device: 0, state },
  ...{ slots_total: 1, slots_available: 1, last_activity_unix: 0, failed_health_checks: 0, pid: 1 },
});

Deno.test("the machine's figures are read anew when a worker has come, loaded or gone, and else not for each change", async () => {
  let reads = 0;
  let workers: WorkerRecord[] = [];
  const show = pictures({
    machine: new MachineReader({
      gpus: () => Promise.resolve([]),
      memory: () => ({ totalBytes: 1e10, availableBytes: 1e9 - ++reads }),
      disk: () => undefined,
    }),
    pool: { list: () => workers, reserved: () => [] },
    models: { picture: () => [] },
    speeds: { list: () => [] },
    installed: new Set(["cpu" as const]),
    defaults: { slots: 3, ctx: 512 },
    log: openLog({ program: "rbee-hive", level: "error", stderr: true }),
    onFigures: () => {},
  });
  const free = async () => 1e9 - (await show()).machine.memory_available_bytes;
  assert.deepEqual(await free(), 1);
  assert.deepEqual(await free(), 1);
  workers = [record("loading")];
  assert.deepEqual(await free(), 2);
  workers = [record("idle")];
  assert.deepEqual(await free(), 3);
  workers = [record("busy")];
  assert.deepEqual(await free(), 3);
  workers = [];
  assert.deepEqual(await free(), 4);
  assert.deepEqual((await show()).defaults, { slots: 3, ctx: 512 });
});

Deno.test("news of workers does not wait for a slow probe: its figures follow", async () => {
  let workers: WorkerRecord[] = [];
  let answer = Promise.withResolvers<void>();
  let free = 1e9;
  const told = Promise.withResolvers<void>();
  const show = pictures({
    machine: new MachineReader({
      gpus: () => Promise.resolve([]),
      memory: () => ({ totalBytes: 1e10, availableBytes: 1e9 }),
      disk: () => undefined,
      probe: async () => {
        await answer.promise;
        return { memory_available_bytes: free };
      },
    }),
    pool: { list: () => workers, reserved: () => [] },
    models: { picture: () => [] },
    speeds: { list: () => [] },
    installed: new Set(["cpu" as const]),
    defaults: { slots: 1 },
    log: openLog({ program: "rbee-hive", level: "error", stderr: true }),
    onFigures: () => told.resolve(),
  });
  answer.resolve();
  assert.equal((await show()).machine.memory_available_bytes, 1e9);
  answer = Promise.withResolvers();
  [free, workers] = [5e8, [record("idle")]];
  const early = await show();
  assert.deepEqual([early.workers.length, early.machine.memory_available_bytes], [1, 1e9]);
  answer.resolve();
  await told.promise;
  assert.equal((await show()).machine.memory_available_bytes, 5e8);
});
