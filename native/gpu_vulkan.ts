/**
 * Vulkan devices: as vulkaninfo lists them, or, where it is not installed, every known card whose driver for Vulkan is.
 * The drivers themselves are never loaded here: a bad one would take the hive down, and each costs tens of megabytes.
 *
 * @module
 */
import type { Gpu } from "../protocol/node.ts";
import type { AmdCard, DrmCard } from "./gpu_amd.ts";
import { type GpuProbe, outputOf } from "./gpu_probe.ts";
import type { MachineMemory } from "./memory.ts";

/** A device in `vulkaninfo --summary`. */
export interface VulkanDevice {
  /** Its number in that list, software devices counted. */
  readonly place: number;
  readonly name: string;
  /** Lower-case hexadecimal, at least four digits: `10de`. */
  readonly vendorId: string;
  readonly deviceId: string;
  readonly isIntegrated: boolean;
  readonly uuid?: string;
  readonly driver?: string;
}

/** Returns the devices in the text of `vulkaninfo --summary`; software rasterisers and repeated ones are left out. */
export function parseVulkanSummary(text: string): VulkanDevice[] {
  const seen = new Set<string>();
  return text.split(/^GPU\d+:[ \t]*$/m).slice(1).flatMap((block, place) => {
    const value = (key: string) => block.match(new RegExp(`^\\s*${key}\\s*= (.*)$`, "m"))?.[1].trim();
    const name = value("deviceName"), type = value("deviceType");
    if (!name || !type || type.endsWith("_TYPE_CPU") || /llvmpipe|lavapipe|swiftshader/i.test(name)) return [];
    const uuid = value("deviceUUID");
    if (uuid && seen.has(uuid)) return []; // two drivers for one card (KhronosGroup/Vulkan-Tools#1195)
    if (uuid) seen.add(uuid);
    return [{
      place,
      name,
      vendorId: hex(value("vendorID")),
      deviceId: hex(value("deviceID")),
      isIntegrated: type.endsWith("_TYPE_INTEGRATED_GPU"),
      uuid,
      driver: value("driverInfo") ?? value("driverVersion"),
    }];
  });
}

function hex(text = ""): string {
  return text.replace(/^0x/, "").toLowerCase().padStart(4, "0");
}

/** Memory of one device. */
export interface DeviceMemory {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * Returns the device-local memory of each device in the text of a whole `vulkaninfo`, in its order. Where the driver
 * gives a budget, that is what is free.
 */
export function parseVulkanHeaps(text: string): DeviceMemory[] {
  return text.split(/^VkPhysicalDeviceMemoryProperties:.*$/m).slice(1).map((section) => {
    const heaps = section.split(/^memoryTypes:/m)[0].split(/^\s*memoryHeaps\[\d+\]:/m).slice(1);
    let totalBytes = 0, freeBytes = 0;
    for (const heap of heaps.filter((one) => one.includes("MEMORY_HEAP_DEVICE_LOCAL_BIT"))) {
      const size = Number(heap.match(/^\s*size\s*= (\d+)/m)?.[1] ?? 0);
      totalBytes += size;
      freeBytes += Number(heap.match(/^\s*budget\s*= (\d+)/m)?.[1] ?? size);
    }
    return { totalBytes, freeBytes };
  });
}

/** What is already known of this machine's cards, from better sources than Vulkan. */
export interface KnownCards {
  readonly nvidia: readonly Gpu[];
  readonly amd: readonly AmdCard[];
  readonly drm: readonly DrmCard[];
}

/** Returns the Vulkan devices of this machine; none without a loader and a hardware driver. */
export async function vulkanGpus(probe: GpuProbe, known: KnownCards): Promise<Gpu[]> {
  if (Deno.build.os !== "linux") return []; // on macOS it would be Metal with a detour
  const summary = await outputOf(probe, "vulkaninfo", ["--summary"]);
  if (summary === undefined) return hasLoader() ? gpusFromDrivers(driverFiles(), { known, memory: probe.memory }) : [];
  const devices = parseVulkanSummary(summary);
  const memories = devices.map((device) => knownMemory(device, { known, all: devices }));
  const isComplete = memories.every((memory) => memory !== undefined);
  const heaps = isComplete ? [] : parseVulkanHeaps(await outputOf(probe, "vulkaninfo", []) ?? "");
  return devices.map((device, index) => {
    const shared = device.isIntegrated ? ofMachine(probe.memory) : { totalBytes: 0, freeBytes: 0 };
    const memory = memories[index] ?? heaps[device.place] ?? shared;
    return vulkanGpu(index, { name: device.name, uuid: device.uuid, driver: device.driver, ...memory });
  });
}

function vulkanGpu(
  index: number,
  of: { name: string; uuid?: string; driver?: string; totalBytes: number; freeBytes: number },
): Gpu {
  return {
    backend: "vulkan",
    index,
    name: of.name,
    uuid: of.uuid,
    memory_total_bytes: of.totalBytes,
    memory_free_bytes: Math.min(of.totalBytes, of.freeBytes),
    driver_version: of.driver,
  };
}

function ofMachine(memory: MachineMemory): DeviceMemory {
  return { totalBytes: memory.totalBytes, freeBytes: memory.availableBytes };
}

/** The memory of the same card as its vendor's own tool tells it; the second of two equal cards gets the second's. */
export function knownMemory(
  device: VulkanDevice,
  { known, all }: { known: KnownCards; all: readonly VulkanDevice[] },
): DeviceMemory | undefined {
  const equal = all.filter((one) => one.vendorId === device.vendorId && one.deviceId === device.deviceId);
  const place = equal.indexOf(device);
  if (device.vendorId === "10de") {
    const gpu = known.nvidia.filter((one) => one.name === device.name)[place];
    return gpu && { totalBytes: gpu.memory_total_bytes, freeBytes: gpu.memory_free_bytes };
  }
  const card = known.amd.filter((one) => one.vendorId === device.vendorId && one.deviceId === device.deviceId)[place];
  return card && { totalBytes: card.totalBytes, freeBytes: card.freeBytes };
}

const driverFolders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
const loaderPaths = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

/** Returns the names of the installed drivers' files: `nvidia_icd.json`, `lvp_icd.x86_64.json`, … */
function driverFiles(): string[] {
  return driverFolders.flatMap((folder) => {
    try {
      return Array.from(Deno.readDirSync(folder), (entry) => entry.name);
    } catch {
      return []; // not there, or not permitted
    }
  });
}

function hasLoader(): boolean {
  return loaderPaths.some((folder) => {
    try {
      return Deno.statSync(`${folder}/libvulkan.so.1`).isFile;
    } catch {
      return false;
    }
  });
}

/** Intel's own GPU sits at this place of every machine that has one; a card of theirs never does. */
const intelIntegratedSlot = "0000:00:02.0";

/**
 * Returns a device for every known card that one of the installed drivers serves, NVIDIA's first. The memory of an Intel
 * card is not known this way and is 0; software drivers (`lvp_icd`) serve nothing.
 */
export function gpusFromDrivers(
  drivers: readonly string[],
  { known, memory }: { known: KnownCards; memory: MachineMemory },
): Gpu[] {
  const has = (pattern: RegExp) => drivers.some((name) => pattern.test(name));
  const nvidia = has(/^nvidia/)
    ? known.nvidia.filter((gpu) => !gpu.uuid?.startsWith("MIG-")) // graphics do not run on pieces of a card
    : [];
  const amd = has(/^(radeon|amd)/) ? known.amd : [];
  const intel = has(/^intel/) ? known.drm.filter((card) => card.vendorId === "8086") : [];
  return [
    ...nvidia.map((gpu) => ({ name: gpu.name, totalBytes: gpu.memory_total_bytes, freeBytes: gpu.memory_free_bytes })),
    ...amd,
    ...intel.map((card) => ({
      name: `Intel GPU ${card.vendorId}:${card.deviceId}`,
      ...(card.slot === intelIntegratedSlot ? ofMachine(memory) : { totalBytes: 0, freeBytes: 0 }),
    })),
  ].map(({ name, totalBytes, freeBytes }, index) => vulkanGpu(index, { name, totalBytes, freeBytes }));
}
