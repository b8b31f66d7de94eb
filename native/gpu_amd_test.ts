import assert from "node:assert/strict";
import { amdCards, amdgpuName, drmCards, parseRocmSmi, parseUevent, rocmGpus } from "./gpu_amd.ts";
import { fixture, kernelTree } from "./testdata/fixture.ts";

const onLinux = { ignore: Deno.build.os !== "linux" };
const mib = 1024 ** 2;
const names = fixture("amdgpu_ids.txt");

/** A machine of two cards, Intel's first, with a connector and a render node beside them as they always are. */
const hadesCanyon = {
  "/sys/class/drm/card0/device/uevent": fixture("drm_uevent_i915.txt"),
  "/sys/class/drm/card1/device/uevent": fixture("drm_uevent_vega_m.txt"),
  "/sys/class/drm/card1/device/revision": "0xc0\n",
  "/sys/class/drm/card1/device/mem_info_vram_total": fixture("amdgpu_mem_info_vram_total.txt"),
  "/sys/class/drm/card1/device/mem_info_vram_used": fixture("amdgpu_mem_info_vram_used.txt"),
  "/sys/class/drm/card1-HDMI-A-1/status": "connected\n",
  "/sys/class/drm/renderD129/device/uevent": fixture("drm_uevent_vega_m.txt"),
};

/** The processor with a small fixed piece of memory of ROCm/rocm-systems#1967. */
const apu = {
  "/sys/class/drm/card1/device/uevent": fixture("drm_uevent_radeon_vii.txt"),
  "/sys/class/drm/card1/device/mem_info_vram_total": `${512 * mib}\n`,
  "/sys/class/drm/card1/device/mem_info_vram_used": `${489 * mib}\n`,
  "/sys/class/drm/card1/device/mem_info_gtt_total": `${13_649 * mib}\n`,
  "/sys/class/drm/card1/device/mem_info_gtt_used": `${964 * mib}\n`,
  "/sys/class/drm/card1/device/hwmon/hwmon4/in0_label": "vddgfx\n",
};

Deno.test("a card's uevent names driver, vendor, device and place", () => {
  assert.deepEqual(parseUevent(fixture("drm_uevent_radeon_vii.txt")), {
    driver: "amdgpu",
    vendorId: "1002",
    deviceId: "66af",
    slot: "0000:0d:00.0",
  });
  assert.equal(parseUevent("MAJOR=226\nMINOR=0\nDEVNAME=dri/card0\n"), undefined);
});

Deno.test("connectors and render nodes are no cards", () => {
  assert.deepEqual(drmCards(kernelTree(hadesCanyon)).map((card) => [card.driver, card.deviceId]), [
    ["i915", "591b"],
    ["amdgpu", "694c"],
  ]);
  assert.deepEqual(drmCards(kernelTree({})), []);
});

Deno.test("cards are in the order of their numbers, not of their letters", () => {
  const tree = Object.fromEntries([10, 2, 0].map((n) => [
    `/sys/class/drm/card${n}/device/uevent`,
    fixture("drm_uevent_vega_m.txt").replace("0000:01", `0000:${String(n).padStart(2, "0")}`),
  ]));
  assert.deepEqual(drmCards(kernelTree(tree)).map((card) => card.slot), [
    "0000:00:00.0",
    "0000:02:00.0",
    "0000:10:00.0",
  ]);
});

Deno.test("an AMD card's memory is its VRAM, its name falls back on its numbers", () => {
  const [card, ...others] = amdCards(kernelTree(hadesCanyon), names);
  assert.equal(others.length, 0);
  assert.equal(card.totalBytes, 8_573_157_376);
  assert.equal(card.freeBytes, 8_573_157_376 - 6_812_925_952);
  assert.equal(card.name, "AMD GPU 1002:694c");
});

Deno.test("a name comes from the card, else from libdrm's list by device and revision", () => {
  assert.equal(amdgpuName(names, { device: "744c", revision: "cc" }), "AMD Radeon RX 7900 XT");
  assert.equal(amdgpuName(names, { device: "744c", revision: "c8" }), "AMD Radeon RX 7900 XTX");
  assert.equal(amdgpuName(names, { device: "744c", revision: "00" }), undefined);
  const named = { ...hadesCanyon, "/sys/class/drm/card1/device/product_name": "AMD Instinct MI210\n" };
  assert.equal(amdCards(kernelTree(named), names)[0].name, "AMD Instinct MI210");
});

Deno.test("a GPU inside a processor has the larger of its two pools, a card never the machine's", () => {
  const inside = { ...apu, "/sys/class/drm/card1/device/hwmon/hwmon4/in1_label": "vddnb\n" };
  assert.deepEqual(amdCards(kernelTree(inside), names).map((card) => [card.totalBytes, card.freeBytes]), [
    [13_649 * mib, (13_649 - 964) * mib],
  ]);
  assert.equal(amdCards(kernelTree(apu), names)[0].totalBytes, 512 * mib);
});

Deno.test("a card whose driver is too old to tell its memory is left out", () => {
  const { "/sys/class/drm/card1/device/mem_info_vram_total": _, ...rest } = hadesCanyon;
  assert.deepEqual(amdCards(kernelTree(rest), names), []);
});

Deno.test("rocm-smi's answer is read when there is nothing under /sys", () => {
  assert.deepEqual(parseRocmSmi(fixture("rocm_smi_rx_7900_xt.json")), [{
    backend: "rocm",
    index: 0,
    name: "Radeon RX 7900 XT",
    uuid: undefined,
    memory_total_bytes: 21_458_059_264,
    memory_free_bytes: 21_458_059_264 - 27_856_896,
    compute_capability: "gfx1100",
  }]);
  assert.deepEqual(parseRocmSmi("ERROR: No AMD GPUs"), []);
  assert.deepEqual(parseRocmSmi("null"), []);
});

Deno.test("a card counts for ROCm only where the compute driver runs", onLinux, async () => {
  const run = () => Promise.resolve(undefined);
  const memory = { totalBytes: 0, availableBytes: 0 };
  const gpus = (tree: Record<string, string>) => {
    const files = kernelTree(tree);
    return rocmGpus({ run, files, memory }, amdCards(files, names));
  };
  assert.deepEqual(await gpus(hadesCanyon), []);
  const withCompute = { ...hadesCanyon, "/sys/class/kfd/kfd/topology/nodes/0/name": "\n" };
  assert.deepEqual((await gpus(withCompute)).map((gpu) => [gpu.backend, gpu.index]), [["rocm", 0]]);
});
