import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import type { ModelShape } from "../protocol/model.ts";
import type { Backend, Gpu } from "../protocol/node.ts";
import { type Placement, preflight, type PreflightInput, type PreflightWish } from "./preflight.ts";

const mb = 1024 * 1024;

/** Llama 3.1 8B in Q4_K_M: 4.6 GB of weights, 128 KB of keys and values a token. */
const eightB: ModelShape = {
  architecture: "llama",
  layers: 32,
  context_length: 131_072,
  vocab_size: 128_256,
  embedding_length: 4_096,
  feed_forward_length: 14_336,
  head_count: 32,
  kv_elements_per_token: 32 * 8 * (128 + 128),
  layer_bytes: 4_000 * mb,
  other_bytes: 690 * mb,
};

function gpu(backend: Backend, index: number, freeMb: number, totalMb = 24_000): Gpu {
  return {
    backend,
    index,
    name: `${backend} ${index}`,
    memory_total_bytes: totalMb * mb,
    memory_free_bytes: freeMb * mb,
  };
}

interface Given {
  freeMb?: number;
  totalMb?: number;
  gpus?: Gpu[];
  shape?: ModelShape | null;
  sizeMb?: number;
  quantization?: string;
  wish?: PreflightWish;
  installed?: Backend[];
  reserved?: PreflightInput["reserved"];
}

function input(given: Given = {}): PreflightInput {
  const { freeMb = 8_000, totalMb = 64_000, gpus = [], shape = null, quantization } = given;
  return {
    model: { size_bytes: (given.sizeMb ?? (shape ? 4_692 : 5_000)) * mb, shape, quantization },
    wish: given.wish ?? {},
    machine: { memory_total_bytes: totalMb * mb, memory_available_bytes: freeMb * mb, gpus },
    installed: new Set(given.installed ?? ["cpu", "cuda", "vulkan", "metal"]),
    reserved: given.reserved,
  };
}

const place = (given: Given) => preflight(input(given));
const where = ({ need: _, ...rest }: Placement) => rest;
const codeOf = (code: string) => (error: unknown) => (error as RbeeError).code === code;

function refusal(given: Given): RbeeError {
  try {
    assert.fail(JSON.stringify(place(given)));
  } catch (error) {
    if ((error as RbeeError).code !== "VRAM_EXHAUSTED") throw error;
    return error as RbeeError;
  }
}

Deno.test("a model of 5000 MB of which nothing else is known needs 6000 MB", () => {
  assert.deepEqual(where(place({})), { backend: "cpu", device: 0 });
  assert.equal(place({ freeMb: 6_000 }).need.totalBytes, 6_000 * mb);
});

Deno.test("with 4000 MB free it is refused with both numbers", () => {
  const { message, details, hint } = refusal({ freeMb: 4_000 });
  assert.equal(message, "Cannot load the model: need 6000 MB, have 4000 MB");
  assert.deepEqual(details, { required: 6_000, available: 4_000, backend: "cpu", device: 0 });
  assert.equal(hint, "Try a smaller quantized model, Q4 instead of Q8");
});

Deno.test("a refusal never shows two equal numbers", () => {
  const short = input();
  const machine = { ...short.machine, memory_available_bytes: 6_000 * mb - 1 };
  assert.throws(() => preflight({ ...short, machine }), (error: RbeeError) => error.details.available === 5_999);
});

Deno.test("a named backend counts the memory of its device", () => {
  const gpus = [gpu("cuda", 0, 4_000), gpu("cuda", 1, 20_000)];
  assert.deepEqual(where(place({ freeMb: 500, gpus, wish: { backend: "cuda", device: 1 } })), {
    backend: "cuda",
    device: 1,
    gpuName: "cuda 1",
  });
  assert.equal(place({ gpus, wish: { backend: "cuda" } }).device, 1);
  assert.equal(refusal({ gpus, wish: { backend: "cuda", device: 0 } }).details.available, 4_000);
});

Deno.test("a backend that the machine lacks is named, and so are those it has", () => {
  const wish = { backend: "metal", device: 0 } as const;
  assert.throws(() => place({ wish, gpus: [gpu("cuda", 0, 9_000)] }), (error: RbeeError) => {
    assert.equal(error.code, "BACKEND_UNAVAILABLE");
    assert.match(error.message, /metal/);
    assert.deepEqual(error.details.available, ["cpu", "cuda"]);
    return true;
  });
});

Deno.test("a device number is checked against what is there", () => {
  const gpus = [gpu("cuda", 0, 9_000)];
  assert.throws(() => place({ gpus, wish: { backend: "cuda", device: 3 } }), codeOf("DEVICE_NOT_AVAILABLE"));
  assert.throws(() => place({ wish: { backend: "cpu", device: 1 } }), codeOf("DEVICE_NOT_AVAILABLE"));
  assert.throws(() => place({ wish: { device: 1 } }), codeOf("DEVICE_NOT_AVAILABLE"));
});

Deno.test("without a wish the GPU with most free memory that fits is taken, else the CPU", () => {
  const gpus = [gpu("cuda", 0, 7_000), gpu("vulkan", 0, 9_000), gpu("cuda", 1, 5_000)];
  assert.equal(place({ gpus }).backend, "vulkan");
  assert.equal(place({ gpus, installed: ["cpu", "cuda"] }).backend, "cuda");
  assert.equal(place({ gpus, installed: ["cpu"] }).backend, "cpu");
  assert.equal(place({ gpus: [gpu("cuda", 0, 5_999)] }).backend, "cpu");
});

Deno.test("memory that nothing tells of refuses nobody, but such a GPU is not chosen unasked", () => {
  const unknown = gpu("vulkan", 0, 0, 0);
  assert.equal(place({ gpus: [unknown], wish: { backend: "vulkan", device: 0 } }).backend, "vulkan");
  assert.equal(place({ gpus: [unknown] }).backend, "cpu");
  assert.equal(place({ totalMb: 0, freeMb: 0 }).backend, "cpu");
});

Deno.test("a large GPU gets the whole model with the largest half of its context that leaves room", () => {
  const placed = place({ gpus: [gpu("cuda", 0, 23_000)], shape: eightB });
  assert.deepEqual(where(placed), { backend: "cuda", device: 0, gpuName: "cuda 0", ctx: 65_536 });
  assert.ok(placed.need.deviceBytes > 13_000 * mb && placed.need.deviceBytes < 15_500 * mb);
  assert.ok(placed.need.hostBytes < 1_500 * mb, "the weights are not counted twice");
});

Deno.test("an 8 GB GPU gets the whole model with a small context", () => {
  const placed = place({ gpus: [gpu("cuda", 0, 7_600, 8_192)], shape: eightB });
  assert.equal(placed.gpuLayers, undefined);
  assert.ok(placed.ctx && placed.ctx >= 4_096 && placed.ctx <= 16_384, String(placed.ctx));
  assert.ok(placed.need.deviceBytes <= 7_600 * mb);
});

Deno.test("a context that was asked for is not lowered: the GPU takes a part of the layers, or it is refused", () => {
  const gpus = [gpu("cuda", 0, 7_600, 8_192)];
  const wish = { ctx: 32_768 };
  const placed = place({ freeMb: 16_000, gpus, shape: eightB, wish });
  assert.equal(placed.backend, "cuda");
  assert.equal(placed.ctx, undefined);
  assert.ok(placed.gpuLayers && placed.gpuLayers > 16 && placed.gpuLayers < 32, String(placed.gpuLayers));
  assert.ok(placed.need.deviceBytes <= 7_600 * mb && placed.need.hostBytes <= 16_000 * mb);
  assert.ok(placed.need.totalBytes >= 4_692 * 1.2 * mb, "the rule of S23 is the floor of all parts together");
  const { details, hint } = refusal({ freeMb: 1_500, gpus, shape: eightB, wish });
  assert.equal(details.device, 0);
  assert.ok(Number(details.required) > 9_000 && details.available === 7_600);
  const fits = Number(hint.match(/--ctx (\d+)/)?.[1]);
  assert.ok(fits >= 8_192 && fits < 32_768, hint);
  assert.equal(place({ freeMb: 1_500, gpus, shape: eightB, wish: { ctx: fits } }).gpuLayers, undefined);
  assert.equal(place({ freeMb: 1_500, gpus, shape: eightB, wish: { ctx: fits + 256 } }).gpuLayers, 31);
});

Deno.test("a GPU that holds few layers is left to others while the CPU can hold all, unless it was asked for", () => {
  const gpus = [gpu("cuda", 0, 2_000, 2_048)];
  assert.equal(place({ freeMb: 16_000, gpus, shape: eightB }).backend, "cpu");
  const asked = place({ freeMb: 16_000, gpus, shape: eightB, wish: { backend: "cuda" } });
  assert.ok(asked.gpuLayers && asked.gpuLayers < 8, String(asked.gpuLayers));
  assert.equal(place({ freeMb: 5_200, gpus: [gpu("cuda", 0, 4_000)], shape: eightB }).backend, "cuda");
});

Deno.test("layers that were asked for stay as they are", () => {
  const gpus = [gpu("cuda", 0, 7_600, 8_192)];
  const placed = place({ freeMb: 16_000, gpus, shape: eightB, wish: { backend: "cuda", gpuLayers: 10 } });
  assert.equal(placed.gpuLayers, 10);
  const all = place({ gpus: [gpu("cuda", 0, 23_000)], shape: eightB, wish: { backend: "cuda", gpuLayers: 32 } });
  assert.equal(all.gpuLayers, undefined, "all of them are the whole model, its output too");
  assert.equal(place({ freeMb: 16_000, gpus, shape: eightB, wish: { gpuLayers: 0 } }).backend, "cpu");
  const tight = { gpus: [gpu("cuda", 0, 2_000)], shape: eightB, wish: { backend: "cuda", gpuLayers: 30 } } as const;
  assert.equal(refusal({ freeMb: 16_000, ...tight, gpus: [...tight.gpus] }).details.available, 2_000);
});

Deno.test("memory that GPU and machine share is counted once", () => {
  // 16 GB, of which macOS lets Metal use 11: free at the moment are 9.
  const apple = { freeMb: 9_000, totalMb: 16_384, gpus: [gpu("metal", 0, 9_000, 10_922)], shape: eightB };
  const placed = place({ ...apple, wish: { backend: "metal" } });
  assert.ok(placed.need.totalBytes <= 9_000 * mb, "device and host together");
  const { gpus, ...small } = apple;
  const tight = { ...small, freeMb: 6_000, gpus: [{ ...gpus[0], memory_free_bytes: 6_000 * mb }] };
  assert.equal(refusal({ ...tight, wish: { backend: "metal" } }).details.available, 6_000);
});

Deno.test("what other workers were promised is gone from host and device, under each of the card's backends", () => {
  const card = { name: "RTX", uuid: "GPU-1" };
  const gpus = [{ ...gpu("cuda", 0, 8_000), ...card }, { ...gpu("vulkan", 0, 8_000), ...card }];
  const reserved = [{ hostBytes: 1_000 * mb, deviceBytes: 3_000 * mb, backend: "cuda" as const, device: 0 }];
  assert.equal(place({ gpus }).backend, "cuda");
  assert.equal(place({ gpus, reserved }).backend, "cpu");
  const error = refusal({ gpus, reserved, freeMb: 6_500 });
  assert.equal(error.details.available, 5_500);
  assert.match(error.hint, /rbee workers list/);
});

Deno.test("a refusal names other backends that would do, and speaks of no quantization that the model has already", () => {
  const gpus = [gpu("cuda", 0, 2_000), gpu("vulkan", 0, 9_000)];
  assert.match(refusal({ gpus, wish: { backend: "cuda" } }).hint, /--backend vulkan, or --backend cpu$/);
  assert.match(refusal({ freeMb: 4_000, quantization: "Q4_K_M" }).hint, /^Try a smaller model/);
});
