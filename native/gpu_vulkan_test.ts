import assert from "node:assert/strict";
import type { Gpu } from "../protocol/node.ts";
import type { AmdCard } from "./gpu_amd.ts";
import {
  gpusFromDrivers,
  type KnownCards,
  knownMemory,
  parseVulkanHeaps,
  parseVulkanSummary,
  vulkanGpus,
} from "./gpu_vulkan.ts";
import { fixture, kernelTree } from "./testdata/fixture.ts";

const onLinux = { ignore: Deno.build.os !== "linux" };
const memory = { totalBytes: 16_000, availableBytes: 12_000 };
const nothing: KnownCards = { nvidia: [], amd: [], drm: [] };

const rtx4080: Gpu = {
  backend: "cuda",
  index: 0,
  name: "NVIDIA GeForce RTX 4080",
  memory_total_bytes: 16_376,
  memory_free_bytes: 15_000,
};

const rx6600: AmdCard = {
  folder: "/sys/class/drm/card0/device",
  driver: "amdgpu",
  vendorId: "1002",
  deviceId: "73ff",
  slot: "0000:0a:00.0",
  name: "AMD Radeon RX 6600 XT",
  totalBytes: 8_000,
  freeBytes: 7_000,
};

Deno.test("a card is listed, a software rasteriser is not", () => {
  assert.deepEqual(parseVulkanSummary(fixture("vulkaninfo_rtx_4080_llvmpipe.txt")), [{
    place: 0,
    name: "NVIDIA GeForce RTX 4080",
    vendorId: "10de",
    deviceId: "2704",
    isIntegrated: false,
    uuid: "3d28c8d2-dcc3-dcb6-1da6-5a521f0bcd6d",
    driver: "565.77",
  }]);
  const [venus, ...others] = parseVulkanSummary(fixture("vulkaninfo_venus_llvmpipe.txt"));
  assert.deepEqual([venus.name, venus.isIntegrated, others.length], ["Virtio-GPU Venus (Apple M2)", true, 0]);
});

Deno.test("a card that two drivers list counts once", () => {
  const text = fixture("vulkaninfo_rx_6600_xt.txt");
  const twice = text + text.slice(text.indexOf("GPU0:")).replace("GPU0:", "GPU1:");
  assert.equal(parseVulkanSummary(twice).length, 1);
  assert.deepEqual(parseVulkanSummary("Cannot create Vulkan instance.\n"), []);
});

Deno.test("a device's memory is its own heaps', free is what the driver grants", () => {
  assert.deepEqual(parseVulkanHeaps(fixture("vulkaninfo_heaps_8gb_card.txt")), [
    { totalBytes: 8_589_934_592, freeBytes: 8_005_484_544 },
  ]);
  const both = fixture("vulkaninfo_heaps_vega_igpu.txt") + fixture("vulkaninfo_heaps_8gb_card.txt");
  assert.deepEqual(parseVulkanHeaps(both).map((device) => device.totalBytes), [
    1_879_048_192 + 268_435_456,
    8_589_934_592,
  ]);
});

Deno.test("memory comes from the vendor's own tool where the card is known, each equal card its own", () => {
  const [nvidia] = parseVulkanSummary(fixture("vulkaninfo_rtx_4080_llvmpipe.txt"));
  const second = { ...nvidia, place: 1, uuid: "other" };
  const known = { ...nothing, nvidia: [rtx4080, { ...rtx4080, index: 1, memory_free_bytes: 9 }] };
  const free = (device: typeof nvidia) => knownMemory(device, { known, all: [nvidia, second] })?.freeBytes;
  assert.deepEqual([free(nvidia), free(second)], [15_000, 9]);
  const [amd] = parseVulkanSummary(fixture("vulkaninfo_rx_6600_xt.txt"));
  assert.equal(knownMemory(amd, { known: { ...nothing, amd: [rx6600] }, all: [amd] })?.freeBytes, 7_000);
  assert.equal(knownMemory(amd, { known: nothing, all: [amd] }), undefined);
});

Deno.test("the whole vulkaninfo is asked only for cards that nobody else knows", onLinux, async () => {
  const asked: string[][] = [];
  const run = (_: string, args: string[]) => {
    asked.push(args);
    const stdout = fixture(args[0] === "--summary" ? "vulkaninfo_rx_6600_xt.txt" : "vulkaninfo_heaps_8gb_card.txt");
    return Promise.resolve({ code: 0, stdout });
  };
  const probe = { run, files: kernelTree({}), memory };
  const [known] = await vulkanGpus(probe, { ...nothing, amd: [rx6600] });
  assert.deepEqual([known.memory_total_bytes, known.index, known.backend], [8_000, 0, "vulkan"]);
  assert.deepEqual(asked, [["--summary"]]);
  const [unknown] = await vulkanGpus(probe, nothing);
  assert.equal(unknown.memory_free_bytes, 8_005_484_544);
  assert.deepEqual(asked, [["--summary"], ["--summary"], []]);
});

Deno.test("an integrated device that tells nothing draws on the machine's memory", onLinux, async () => {
  const run = (_: string, args: string[]) =>
    Promise.resolve({ code: args.length ? 0 : 1, stdout: fixture("vulkaninfo_venus_llvmpipe.txt") });
  const gpus = await vulkanGpus({ run, files: kernelTree({}), memory }, nothing);
  assert.deepEqual(gpus.map((gpu) => [gpu.memory_total_bytes, gpu.memory_free_bytes]), [[16_000, 12_000]]);
});

Deno.test("without vulkaninfo every known card with a driver counts, a software driver serves none", () => {
  const intel = { folder: "", driver: "i915", vendorId: "8086", deviceId: "591b", slot: "0000:00:02.0" };
  const arc = { ...intel, driver: "xe", deviceId: "56a0", slot: "0000:03:00.0" };
  const known = { nvidia: [rtx4080, { ...rtx4080, uuid: "MIG-1" }], amd: [rx6600], drm: [intel, arc] };
  const gpus = (drivers: string[]) =>
    gpusFromDrivers(drivers, { known, memory }).map((gpu) => [gpu.index, gpu.name, gpu.memory_total_bytes]);
  assert.deepEqual(gpus(["lvp_icd.x86_64.json"]), []);
  assert.deepEqual(
    gpus(["nvidia_icd.json", "radeon_icd.x86_64.json", "intel_icd.x86_64.json", "lvp_icd.x86_64.json"]),
    [
      [0, "NVIDIA GeForce RTX 4080", 16_376],
      [1, "AMD Radeon RX 6600 XT", 8_000],
      [2, "Intel GPU 8086:591b", 16_000],
      [3, "Intel GPU 8086:56a0", 0],
    ],
  );
});
