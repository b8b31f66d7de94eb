import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import type { Backend, Gpu } from "../protocol/node.ts";
import { memoryNeed, preflight, type PreflightInput } from "./preflight.ts";

const mb = 1024 * 1024;

function gpu(backend: Backend, index: number, freeMb: number): Gpu {
  return {
    backend,
    index,
    name: `${backend} ${index}`,
    memory_total_bytes: 24_000 * mb,
    memory_free_bytes: freeMb * mb,
  };
}

function input(over: Partial<PreflightInput> & { freeMb?: number; gpus?: Gpu[] } = {}): PreflightInput {
  return {
    modelBytes: 5_000 * mb,
    wish: {},
    machine: {
      memory_total_bytes: 64_000 * mb,
      memory_available_bytes: (over.freeMb ?? 8_000) * mb,
      gpus: over.gpus ?? [],
    },
    installed: new Set<Backend>(["cpu", "cuda", "vulkan"]),
    ...over,
  };
}

const codeOf = (code: string) => (error: unknown) => (error as RbeeError).code === code;

Deno.test("a model of 5000 MB needs 6000 MB and passes with 8000 MB free", () => {
  assert.equal(memoryNeed(5_000 * mb), 6_000 * mb);
  assert.deepEqual(preflight(input()), { backend: "cpu", device: 0 });
  assert.deepEqual(preflight(input({ freeMb: 6_000 })), { backend: "cpu", device: 0 });
});

Deno.test("with 4000 MB free it is refused with both numbers", () => {
  assert.throws(() => preflight(input({ freeMb: 4_000 })), (error: RbeeError) => {
    assert.equal(error.code, "VRAM_EXHAUSTED");
    assert.equal(error.message, "Cannot load the model: need 6000 MB, have 4000 MB");
    assert.equal(error.details.required, 6_000);
    assert.equal(error.details.available, 4_000);
    return true;
  });
});

Deno.test("a refusal never shows two equal numbers", () => {
  const short = input({
    machine: { memory_total_bytes: 64_000 * mb, memory_available_bytes: 6_000 * mb - 1, gpus: [] },
  });
  assert.throws(() => preflight(short), (error: RbeeError) => error.details.available === 5_999);
});

Deno.test("a named backend counts the memory of its device and not the machine's", () => {
  const gpus = [gpu("cuda", 0, 4_000), gpu("cuda", 1, 20_000)];
  const machine = { memory_total_bytes: 2, memory_available_bytes: 1, gpus };
  assert.deepEqual(preflight(input({ machine, wish: { backend: "cuda", device: 1 } })), {
    backend: "cuda",
    device: 1,
    gpuName: "cuda 1",
  });
  assert.equal(preflight(input({ machine, wish: { backend: "cuda" } })).device, 1);
  assert.throws(() => preflight(input({ machine, wish: { backend: "cuda", device: 0 } })), codeOf("VRAM_EXHAUSTED"));
});

Deno.test("a backend that the machine lacks is named, and so are those it has", () => {
  const wish = { backend: "metal", device: 0 } as const;
  assert.throws(() => preflight(input({ wish, gpus: [gpu("cuda", 0, 9_000)] })), (error: RbeeError) => {
    assert.equal(error.code, "BACKEND_UNAVAILABLE");
    assert.match(error.message, /metal/);
    assert.deepEqual(error.details.available, ["cpu", "cuda"]);
    return true;
  });
});

Deno.test("a device number is checked against what is there", () => {
  const gpus = [gpu("cuda", 0, 9_000)];
  assert.throws(
    () => preflight(input({ gpus, wish: { backend: "cuda", device: 3 } })),
    codeOf("DEVICE_NOT_AVAILABLE"),
  );
  assert.throws(() => preflight(input({ wish: { backend: "cpu", device: 1 } })), codeOf("DEVICE_NOT_AVAILABLE"));
});

Deno.test("without a wish the GPU with most free memory that fits is taken, else the CPU", () => {
  const gpus = [gpu("cuda", 0, 7_000), gpu("vulkan", 0, 9_000), gpu("cuda", 1, 5_000)];
  assert.equal(preflight(input({ gpus })).backend, "vulkan");
  assert.equal(preflight(input({ gpus, installed: new Set<Backend>(["cpu", "cuda"]) })).backend, "cuda");
  assert.equal(preflight(input({ gpus, installed: new Set<Backend>(["cpu"]) })).backend, "cpu");
  assert.equal(preflight(input({ gpus: [gpu("cuda", 0, 5_999)] })).backend, "cpu");
});

Deno.test("memory that nothing tells of refuses nobody, but such a GPU is not chosen unasked", () => {
  const unknown = { ...gpu("vulkan", 0, 0), memory_total_bytes: 0 };
  assert.equal(preflight(input({ gpus: [unknown], wish: { backend: "vulkan", device: 0 } })).backend, "vulkan");
  assert.equal(preflight(input({ gpus: [unknown] })).backend, "cpu");
  const machine = { memory_total_bytes: 0, memory_available_bytes: 0, gpus: [] };
  assert.equal(preflight(input({ machine })).backend, "cpu");
});
