/**
 * NVIDIA devices: by NVML through FFI (0.7 ms without a driver, no CUDA needed), by nvidia-smi where that library cannot
 * be opened. A card that is cut into MIG devices counts as these, because nothing can run on the whole.
 *
 * @module
 */
import type { Gpu } from "../protocol/node.ts";
import { type GpuProbe, outputOf } from "./gpu_probe.ts";
import type { MachineMemory } from "./memory.ts";

/** The bare name asks the loader's own list; the rest are WSL, Debian, Fedora and NixOS, where it may not be on it. */
const libraryPaths = [
  "libnvidia-ml.so.1",
  "/usr/lib/wsl/lib/libnvidia-ml.so.1",
  "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
  "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
  "/usr/lib64/libnvidia-ml.so.1",
  "/run/opengl-driver/lib/libnvidia-ml.so.1",
];

const librarySymbols = {
  nvmlInit_v2: { parameters: [], result: "i32" },
  nvmlShutdown: { parameters: [], result: "i32" },
  nvmlDeviceGetCount_v2: { parameters: ["buffer"], result: "i32" },
  nvmlDeviceGetHandleByIndex_v2: { parameters: ["u32", "buffer"], result: "i32" },
  nvmlDeviceGetName: { parameters: ["pointer", "buffer", "u32"], result: "i32" },
  nvmlDeviceGetUUID: { parameters: ["pointer", "buffer", "u32"], result: "i32" },
  nvmlDeviceGetMemoryInfo: { parameters: ["pointer", "buffer"], result: "i32" },
  nvmlSystemGetDriverVersion: { parameters: ["buffer", "u32"], result: "i32" },
  nvmlDeviceGetCudaComputeCapability: { parameters: ["pointer", "buffer", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetMigMode: { parameters: ["pointer", "buffer", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetMaxMigDeviceCount: { parameters: ["pointer", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetMigDeviceHandleByIndex: { parameters: ["pointer", "u32", "buffer"], result: "i32", optional: true },
} as const;

/** The calls of NVML that are used here. */
export type Nvml = Deno.DynamicLibrary<typeof librarySymbols>["symbols"];

const nvmlSuccess = 0;
const nvmlNotSupported = 3;
const textBytesMax = 96; // NVML_DEVICE_UUID_V2_BUFFER_SIZE and NVML_DEVICE_NAME_V2_BUFFER_SIZE

/** Returns the CUDA devices of this machine; none where there is no driver. Never throws for lack of one. */
export async function nvidiaGpus(probe: GpuProbe): Promise<Gpu[]> {
  if (Deno.build.os !== "linux") return [];
  for (const path of libraryPaths) {
    let library: Deno.DynamicLibrary<typeof librarySymbols>;
    try {
      library = Deno.dlopen(path, librarySymbols);
    } catch {
      continue; // not there, or not permitted
    }
    try {
      return readNvml(library.symbols, probe.memory);
    } finally {
      library.close();
    }
  }
  return await nvidiaGpusBySmi(probe);
}

/**
 * Returns the devices that an opened NVML knows; none when it does not start (driver not loaded, versions that differ).
 * `shared` stands in for devices without memory of their own (DGX Spark answers "not supported").
 */
export function readNvml(nvml: Nvml, shared: MachineMemory): Gpu[] {
  if (nvml.nvmlInit_v2() !== nvmlSuccess) return [];
  try {
    const count = new Uint32Array(1);
    if (nvml.nvmlDeviceGetCount_v2(count) !== nvmlSuccess) return [];
    const driver = textOf((buffer) => nvml.nvmlSystemGetDriverVersion(buffer, textBytesMax));
    const devices: Omit<Gpu, "index">[] = [];
    for (let i = 0; i < count[0]; i++) {
      const handle = handleOf((buffer) => nvml.nvmlDeviceGetHandleByIndex_v2(i, buffer));
      if (!handle) continue;
      const mig = migHandles(nvml, handle);
      for (const device of mig ?? [handle]) {
        const found = readDevice(nvml, { device, card: handle, shared });
        if (found) devices.push({ ...found, driver_version: driver });
      }
    }
    return devices.map((device, index) => ({ ...device, index }));
  } finally {
    nvml.nvmlShutdown();
  }
}

/** A MIG device has name, UUID and memory of its own, and its card's compute capability. */
function readDevice(
  nvml: Nvml,
  { device, card, shared }: { device: Deno.PointerObject; card: Deno.PointerObject; shared: MachineMemory },
): Omit<Gpu, "index"> | undefined {
  const memory = new BigUint64Array(3); // nvmlMemory_t: total, free, used
  const result = nvml.nvmlDeviceGetMemoryInfo(device, memory);
  if (result !== nvmlSuccess && result !== nvmlNotSupported) return undefined; // lost, or no permission: of no use
  const major = new Int32Array(1), minor = new Int32Array(1);
  const hasCapability = nvml.nvmlDeviceGetCudaComputeCapability?.(card, major, minor) === nvmlSuccess;
  return {
    backend: "cuda",
    name: textOf((buffer) => nvml.nvmlDeviceGetName(device, buffer, textBytesMax)) ?? "NVIDIA GPU",
    uuid: textOf((buffer) => nvml.nvmlDeviceGetUUID(device, buffer, textBytesMax)),
    memory_total_bytes: result === nvmlSuccess ? Number(memory[0]) : shared.totalBytes,
    memory_free_bytes: result === nvmlSuccess ? Number(memory[1]) : shared.availableBytes,
    compute_capability: hasCapability ? `${major[0]}.${minor[0]}` : undefined,
  };
}

/** Undefined unless the card is in MIG mode; then its MIG devices, which may be none. */
function migHandles(nvml: Nvml, card: Deno.PointerObject): Deno.PointerObject[] | undefined {
  const mode = new Uint32Array(1), pending = new Uint32Array(1), count = new Uint32Array(1);
  if (nvml.nvmlDeviceGetMigMode?.(card, mode, pending) !== nvmlSuccess || mode[0] !== 1) return undefined;
  if (nvml.nvmlDeviceGetMaxMigDeviceCount?.(card, count) !== nvmlSuccess) return [];
  const places = Array.from({ length: count[0] }, (_, i) => i); // some of them are empty
  return places.map((i) => handleOf((buffer) => nvml.nvmlDeviceGetMigDeviceHandleByIndex?.(card, i, buffer)))
    .filter((handle) => handle !== undefined);
}

function handleOf(call: (buffer: BigUint64Array<ArrayBuffer>) => number | undefined): Deno.PointerObject | undefined {
  const buffer = new BigUint64Array(1);
  return call(buffer) === nvmlSuccess ? Deno.UnsafePointer.create(buffer[0]) ?? undefined : undefined;
}

function textOf(call: (buffer: Uint8Array<ArrayBuffer>) => number): string | undefined {
  const buffer = new Uint8Array(textBytesMax);
  if (call(buffer) !== nvmlSuccess) return undefined;
  const end = buffer.indexOf(0);
  return new TextDecoder().decode(end < 0 ? buffer : buffer.subarray(0, end));
}

const smiFields = ["index", "name", "uuid", "memory.total", "memory.free", "driver_version", "mig.mode.current"];

async function nvidiaGpusBySmi(probe: GpuProbe): Promise<Gpu[]> {
  const ask = (fields: string[]) => outputOf(probe, "nvidia-smi", [`--query-gpu=${fields}`, "--format=csv"]);
  // Drivers before 510 do not know compute_cap, those before 450 not mig.mode, and refuse the whole question.
  const csv = await ask([...smiFields, "compute_cap"]) ?? await ask(smiFields) ?? await ask(smiFields.slice(0, -1));
  if (csv === undefined) return [];
  const cards = parseNvidiaSmi(csv, probe.memory);
  if (!cards.some((card) => card.isMig)) return cards.map((card) => card.gpu);
  return withMigDevices(cards, await outputOf(probe, "nvidia-smi", ["-L"]) ?? "");
}

/** One row of nvidia-smi. */
export interface SmiCard {
  readonly gpu: Gpu;
  /** Cut into MIG devices: `gpu` itself cannot be used. */
  readonly isMig: boolean;
}

/**
 * Returns the cards in the text of `nvidia-smi --query-gpu=… --format=csv` (with header and units), in whatever order
 * the columns are. `[N/A]` as memory means that the device draws on the machine's, `shared`; a card whose memory is
 * unknown for another reason (`[GPU is lost]`) is left out.
 */
export function parseNvidiaSmi(csv: string, shared: MachineMemory): SmiCard[] {
  const [header, ...rows] = csv.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const columns = (header ?? "").split(", ").map((name) => name.replace(/ \[.*\]$/, ""));
  if (!columns.includes("memory.total")) return []; // an error message, not a table
  return rows.flatMap((row, number) => {
    const cells = row.split(", ");
    const cell = (name: string) => {
      const text = cells[columns.indexOf(name)];
      return text === undefined || /^\[?(N\/A|Not Supported)\]?$/.test(text) ? undefined : text;
    };
    const total = cell("memory.total") === undefined ? shared.totalBytes : parseMib(cell("memory.total"));
    const free = cell("memory.free") === undefined ? shared.availableBytes : parseMib(cell("memory.free"));
    if (total === undefined || free === undefined) return [];
    const gpu: Gpu = {
      backend: "cuda",
      index: Number(cell("index") ?? number),
      name: cell("name") ?? "NVIDIA GPU",
      uuid: cell("uuid"),
      memory_total_bytes: total,
      memory_free_bytes: Math.min(total, free),
      compute_capability: cell("compute_cap"),
      driver_version: cell("driver_version"),
    };
    return [{ gpu, isMig: cell("mig.mode.current") === "Enabled" }];
  });
}

function parseMib(text: string | undefined): number | undefined {
  const found = text?.match(/^(\d+)(?: MiB)?$/);
  return found ? Number(found[1]) * 1024 * 1024 : undefined;
}

/** A MIG device in `nvidia-smi -L`. */
export interface MigDevice {
  readonly cardUuid: string;
  readonly uuid: string;
  /** `1g.20gb`. */
  readonly profile: string;
  /** As its profile says; nvidia-smi gives no better number in a list. */
  readonly memoryBytes: number;
}

/** Returns the MIG devices in the text of `nvidia-smi -L`. */
export function parseMigDevices(list: string): MigDevice[] {
  let cardUuid = "";
  return list.split("\n").flatMap((line) => {
    cardUuid = line.match(/^GPU \d+: .*\(UUID: ([^)]+)\)/)?.[1] ?? cardUuid;
    const found = line.match(/^\s+MIG (\S*?(\d+)gb\S*)\s+Device\s+\d+: \(UUID: ([^)]+)\)/);
    return found ? [{ cardUuid, profile: found[1], memoryBytes: Number(found[2]) * 1024 ** 3, uuid: found[3] }] : [];
  });
}

/** Returns the devices that can be used: whole cards, and instead of a cut one its pieces, numbered anew. */
export function withMigDevices(cards: readonly SmiCard[], list: string): Gpu[] {
  const pieces = parseMigDevices(list);
  const gpus = cards.flatMap(({ gpu, isMig }) => {
    if (!isMig) return [gpu];
    return pieces.filter((piece) => piece.cardUuid === gpu.uuid).map((piece): Gpu => ({
      ...gpu,
      name: `${gpu.name} MIG ${piece.profile}`,
      uuid: piece.uuid,
      memory_total_bytes: piece.memoryBytes,
      memory_free_bytes: piece.memoryBytes,
    }));
  });
  return gpus.map((gpu, index) => ({ ...gpu, index }));
}
