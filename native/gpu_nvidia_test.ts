import assert from "node:assert/strict";
import { type Nvml, parseMigDevices, parseNvidiaSmi, readNvml, withMigDevices } from "./gpu_nvidia.ts";
import { parseMeminfo } from "./memory.ts";
import { fixture } from "./testdata/fixture.ts";

const mib = 1024 ** 2, gib = 1024 ** 3;
const noMemory = { totalBytes: 0, availableBytes: 0 };

Deno.test("a card is read from nvidia-smi's own table, whatever its columns", () => {
  assert.deepEqual(parseNvidiaSmi(fixture("nvidia_smi_rtx_2080_super.csv"), noMemory), [{
    gpu: {
      backend: "cuda",
      index: 0,
      name: "NVIDIA GeForce RTX 2080 SUPER",
      uuid: "GPU-df6e7a7c-7314-46f8-abc4-b88b36dcf3aa",
      memory_total_bytes: 8192 * mib,
      memory_free_bytes: 7316 * mib,
      compute_capability: undefined,
      driver_version: "471.11",
    },
    isMig: false,
  }]);
});

Deno.test("a device without memory of its own counts the machine's", () => {
  const memory = parseMeminfo(fixture("meminfo_dgx_spark.txt"))!;
  const [{ gpu }] = parseNvidiaSmi(fixture("nvidia_smi_gb10.csv"), memory);
  assert.equal(gpu.memory_total_bytes, 127_600_748 * 1024);
  assert.equal(gpu.memory_free_bytes, 118_566_368 * 1024);
});

Deno.test("a driver that is not loaded, and no text at all, are no cards", () => {
  assert.deepEqual(parseNvidiaSmi(fixture("nvidia_smi_failed.txt"), noMemory), []);
  assert.deepEqual(parseNvidiaSmi("No devices were found\n", noMemory), []);
  assert.deepEqual(parseNvidiaSmi("", noMemory), []);
});

Deno.test("a card that is lost is left out and the next one keeps its number", () => {
  const csv = "index, memory.total [MiB], memory.free [MiB]\n0, [GPU is lost], [GPU is lost]\n1, 8192 MiB, 9000 MiB\n";
  const cards = parseNvidiaSmi(csv, noMemory);
  assert.deepEqual(cards.map(({ gpu }) => [gpu.index, gpu.memory_free_bytes]), [[1, 8192 * mib]]);
});

Deno.test("a card cut by MIG counts as its pieces, whole cards stay, all numbered anew", () => {
  const list = fixture("nvidia_smi_list_mig_a100.txt");
  assert.equal(parseMigDevices(list).length, 4);
  const header = "index, name, uuid, memory.total [MiB], memory.free [MiB], mig.mode.current\n";
  const row = (index: number, uuid: string, mode: string) =>
    `${index}, NVIDIA A100-SXM4-80GB, ${uuid}, 81920 MiB, 81000 MiB, ${mode}\n`;
  const cards = parseNvidiaSmi(
    header + row(0, "GPU-513536b6-7d19-9063-b049-1e69664bb298", "Enabled") +
      row(1, "GPU-d8594bd4-0fc3-8595-e355-7c98138f3b95", "Disabled"),
    noMemory,
  );
  const gpus = withMigDevices(cards, list);
  assert.deepEqual(gpus.map((gpu) => gpu.index), [0, 1, 2, 3, 4]);
  assert.equal(gpus[0].name, "NVIDIA A100-SXM4-80GB MIG 1g.20gb");
  assert.equal(gpus[0].uuid, "MIG-ce861fb0-a248-58ce-a9a8-f9adbc22a66a");
  assert.equal(gpus[3].memory_total_bytes, 20 * gib);
  assert.equal(gpus[4].uuid, "GPU-d8594bd4-0fc3-8595-e355-7c98138f3b95");
  assert.equal(gpus[4].memory_total_bytes, 80 * gib);
});

/** One device behind a fake NVML: its handle is its place plus 1. */
interface FakeDevice {
  name: string;
  uuid: string;
  /** Result code instead of numbers. */
  memory: [total: bigint, free: bigint] | number;
  mig?: FakeDevice[];
}

/** NVML's calls over `devices`, as C would answer: numbers written into buffers, a result code returned. */
function fakeNvml(devices: FakeDevice[], init = 0): { nvml: Nvml; shutdowns: () => number } {
  const all = devices.flatMap((device) => [device, ...device.mig ?? []]);
  let shutdowns = 0;
  const of = (pointer: Deno.PointerValue) => all[Number(Deno.UnsafePointer.value(pointer)) - 1];
  const text = (buffer: Uint8Array, value: string) => (buffer.set(new TextEncoder().encode(`${value}\0`)), 0);
  const calls = {
    nvmlInit_v2: () => init,
    nvmlShutdown: () => (shutdowns++, 0),
    nvmlDeviceGetCount_v2: (count: Uint32Array) => (count[0] = devices.length, 0),
    nvmlSystemGetDriverVersion: (buffer: Uint8Array) => text(buffer, "580.126.09"),
    nvmlDeviceGetHandleByIndex_v2: (
      i: number,
      out: BigUint64Array,
    ) => (out[0] = BigInt(all.indexOf(devices[i]) + 1), 0),
    nvmlDeviceGetName: (device: Deno.PointerValue, buffer: Uint8Array) => text(buffer, of(device).name),
    nvmlDeviceGetUUID: (device: Deno.PointerValue, buffer: Uint8Array) => text(buffer, of(device).uuid),
    nvmlDeviceGetMemoryInfo: (device: Deno.PointerValue, out: BigUint64Array) => {
      const { memory } = of(device);
      if (typeof memory === "number") return memory;
      out.set([memory[0], memory[1], memory[0] - memory[1]]);
      return 0;
    },
    nvmlDeviceGetCudaComputeCapability: (_: Deno.PointerValue, major: Int32Array, minor: Int32Array) => (
      major[0] = 12, minor[0] = 1, 0
    ),
    nvmlDeviceGetMigMode: (device: Deno.PointerValue, mode: Uint32Array) => (mode[0] = of(device).mig ? 1 : 0, 0),
    nvmlDeviceGetMaxMigDeviceCount: (_: Deno.PointerValue, count: Uint32Array) => (count[0] = 7, 0),
    nvmlDeviceGetMigDeviceHandleByIndex: (device: Deno.PointerValue, i: number, out: BigUint64Array) => {
      const piece = of(device).mig?.[i];
      if (!piece) return 6; // NVML_ERROR_NOT_FOUND: an empty place
      out[0] = BigInt(all.indexOf(piece) + 1);
      return 0;
    },
  };
  return { nvml: calls as unknown as Nvml, shutdowns: () => shutdowns };
}

Deno.test("NVML's cards come with name, memory, capability and driver", () => {
  const { nvml, shutdowns } = fakeNvml([{ name: "NVIDIA H200", uuid: "GPU-1", memory: [150n, 149n] }]);
  assert.deepEqual(readNvml(nvml, noMemory), [{
    backend: "cuda",
    index: 0,
    name: "NVIDIA H200",
    uuid: "GPU-1",
    memory_total_bytes: 150,
    memory_free_bytes: 149,
    compute_capability: "12.1",
    driver_version: "580.126.09",
  }]);
  assert.equal(shutdowns(), 1);
});

Deno.test("NVML's 'not supported' means the machine's memory, any other failure drops the card", () => {
  const { nvml } = fakeNvml([
    { name: "lost", uuid: "GPU-0", memory: 15 },
    { name: "NVIDIA GB10", uuid: "GPU-1", memory: 3 },
  ]);
  const gpus = readNvml(nvml, { totalBytes: 1000, availableBytes: 700 });
  assert.deepEqual(gpus.map((gpu) => [gpu.index, gpu.name, gpu.memory_total_bytes, gpu.memory_free_bytes]), [
    [0, "NVIDIA GB10", 1000, 700],
  ]);
});

Deno.test("NVML's MIG devices stand in for their card, empty places are skipped", () => {
  const { nvml } = fakeNvml([
    {
      name: "NVIDIA A100",
      uuid: "GPU-1",
      memory: 4,
      mig: [{ name: "NVIDIA A100 MIG 1g.5gb", uuid: "MIG-1", memory: [5n, 4n] }, {
        name: "NVIDIA A100 MIG 2g.10gb",
        uuid: "MIG-2",
        memory: [10n, 9n],
      }],
    },
    { name: "NVIDIA A100", uuid: "GPU-2", memory: [40n, 39n] },
  ]);
  assert.deepEqual(readNvml(nvml, noMemory).map((gpu) => [gpu.index, gpu.uuid, gpu.memory_total_bytes]), [
    [0, "MIG-1", 5],
    [1, "MIG-2", 10],
    [2, "GPU-2", 40],
  ]);
});

Deno.test("an NVML whose driver is not loaded has no cards and is not shut down", () => {
  const { nvml, shutdowns } = fakeNvml([{ name: "x", uuid: "y", memory: [1n, 1n] }], 9);
  assert.deepEqual(readNvml(nvml, noMemory), []);
  assert.equal(shutdowns(), 0);
});
