import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { MachineReader, type MachineSources } from "./machine.ts";
import { parseProbe, runProbe } from "./probe.ts";

const sources = (over: Partial<MachineSources> = {}): MachineSources => ({
  gpus: () => Promise.resolve([]),
  memory: () => ({ totalBytes: 100, availableBytes: 50 }),
  disk: () => undefined,
  ...over,
});

const isConfigInvalid = (error: unknown) => (error as RbeeError).code === "CONFIG_INVALID";

Deno.test("the probe replaces what it names and leaves the rest", async () => {
  const gpu = { backend: "cuda" as const, index: 0, name: "x", memory_total_bytes: 8, memory_free_bytes: 4 };
  const machine = await new MachineReader(sources({ probe: () => Promise.resolve({ gpus: [gpu] }) })).read();
  assert.deepEqual(machine.gpus, [gpu]);
  assert.equal(machine.memory_available_bytes, 50);
});

Deno.test("within a second the machine is read once, and a failed reading is not kept", async () => {
  let reads = 0;
  const reader = new MachineReader(sources({
    gpus: () => {
      if (++reads === 2) throw new Error("driver hangs");
      return Promise.resolve([]);
    },
  }));
  await Promise.all([reader.read(), reader.read()]);
  assert.equal(reads, 1);
  await assert.rejects(reader.read(-1));
  await reader.read();
  assert.equal(reads, 3);
});

Deno.test("a probe that lacks, hangs up or talks nonsense is named as such", async () => {
  await assert.rejects(runProbe(["/nowhere/probe"]), isConfigInvalid);
  await assert.rejects(runProbe(["/bin/sh", "-c", "echo no >&2; exit 4"]), /exit code 4: no/);
  await assert.rejects(runProbe(["/bin/echo", "not json"]), /no JSON/);
  assert.throws(() => parseProbe("p", '{"gpus": [{"backend": "cuda"}], "memory": 3}'), (error: RbeeError) => {
    assert.ok(isConfigInvalid(error));
    return /gpus\.0\.index/.test(error.message);
  });
  assert.deepEqual(await runProbe(["/bin/echo", '{"memory_available_bytes": 7}']), { memory_available_bytes: 7 });
});
