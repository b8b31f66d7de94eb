/**
 * AMD devices: by what the amdgpu driver says under /sys, by rocm-smi where that cannot be read.
 *
 * @module
 */
import type { Gpu } from "../protocol/node.ts";
import { type GpuProbe, outputOf } from "./gpu_probe.ts";
import type { KernelFiles } from "./libc.ts";

/** A card as the kernel lists it, of any vendor. */
export interface DrmCard {
  /** `/sys/class/drm/card0/device`. */
  readonly folder: string;
  /** `amdgpu`, `i915`, `nvidia`, … */
  readonly driver: string;
  /** Lower-case hexadecimal, four digits: `1002`. */
  readonly vendorId: string;
  readonly deviceId: string;
  /** `0000:01:00.0`. */
  readonly slot: string;
}

/** An AMD card with its memory. */
export interface AmdCard extends DrmCard {
  readonly name: string;
  readonly uuid?: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** Returns what the text of a card's device/uevent says, or undefined when it is no PCI device. */
export function parseUevent(text: string): Omit<DrmCard, "folder"> | undefined {
  const value = (key: string) => text.match(new RegExp(`^${key}=(.*)$`, "m"))?.[1].trim();
  const id = value("PCI_ID")?.match(/^([0-9A-Fa-f]{1,4}):([0-9A-Fa-f]{1,4})$/);
  const slot = value("PCI_SLOT_NAME");
  if (!id || !slot) return undefined;
  const [vendorId, deviceId] = [id[1], id[2]].map((part) => part.toLowerCase().padStart(4, "0"));
  return { driver: value("DRIVER") ?? "", vendorId, deviceId, slot };
}

/** Returns the graphics cards of this machine in the kernel's order; connectors and render nodes are not among them. */
export function drmCards(files: KernelFiles): DrmCard[] {
  const names = (files.list("/sys/class/drm") ?? []).filter((name) => /^card\d+$/.test(name));
  names.sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)));
  return names.flatMap((name) => {
    const folder = `/sys/class/drm/${name}/device`;
    const facts = parseUevent(files.read(`${folder}/uevent`) ?? "");
    return facts ? [{ folder, ...facts }] : [];
  });
}

/** Returns the name in libdrm's list for a device and revision (`744c`, `cc`), or undefined. */
export function amdgpuName(list: string, id: { device: string; revision: string }): string | undefined {
  for (const line of list.split("\n")) {
    const [device, revision, name] = line.split(",").map((part) => part.trim());
    if (name && device.toLowerCase() === id.device && revision.toLowerCase() === id.revision) return name;
  }
  return undefined;
}

/** Returns the AMD cards that run on the amdgpu driver, with their memory. `names` is libdrm's list, "" without one. */
export function amdCards(files: KernelFiles, names: string): AmdCard[] {
  return drmCards(files).filter((card) => card.driver === "amdgpu").flatMap((card) => {
    const text = (name: string) => files.read(`${card.folder}/${name}`)?.trim() || undefined;
    const memory = amdMemory(files, card.folder);
    if (!memory) return [];
    const revision = text("revision")?.replace(/^0x/, "") ?? "";
    const uniqueId = text("unique_id");
    return [{
      ...card,
      ...memory,
      name: text("product_name") ?? amdgpuName(names, { device: card.deviceId, revision }) ??
        `AMD GPU ${card.vendorId}:${card.deviceId}`,
      uuid: uniqueId ? `GPU-${uniqueId}` : undefined, // as ROCm writes it in ROCR_VISIBLE_DEVICES
    }];
  });
}

/**
 * A card of its own has VRAM. A GPU inside a processor has a small piece of the machine's memory as VRAM and may map
 * more (GTT): the driver puts compute buffers where more room is, so that is what counts.
 */
function amdMemory(files: KernelFiles, folder: string): { totalBytes: number; freeBytes: number } | undefined {
  const pool = (name: string) => {
    const total = parseBytes(files.read(`${folder}/mem_info_${name}_total`));
    const used = parseBytes(files.read(`${folder}/mem_info_${name}_used`));
    return total === undefined ? undefined : { totalBytes: total, freeBytes: Math.max(0, total - (used ?? 0)) };
  };
  const vram = pool("vram"), gtt = pool("gtt");
  if (!vram) return undefined;
  return gtt && gtt.totalBytes > vram.totalBytes && isInsideProcessor(files, folder) ? gtt : vram;
}

function parseBytes(text: string | undefined): number | undefined {
  return text && /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

/** The driver shows the voltage of the north bridge for these only (kernel documentation of its hwmon, in1). */
function isInsideProcessor(files: KernelFiles, folder: string): boolean {
  const monitors = files.list(`${folder}/hwmon`) ?? [];
  return monitors.some((name) => files.read(`${folder}/hwmon/${name}/in1_label`)?.trim() === "vddnb");
}

const amdgpuNamesPath = "/usr/share/libdrm/amdgpu.ids";

/** Returns the AMD cards of this machine; none where there is no amdgpu driver. */
export function readAmdCards(files: KernelFiles): AmdCard[] {
  if (drmCards(files).every((card) => card.driver !== "amdgpu")) return [];
  let names = "";
  try {
    names = Deno.readTextFileSync(amdgpuNamesPath);
  } catch {
    // libdrm is not installed, or we may not read: numbers instead of names
  }
  return amdCards(files, names);
}

/**
 * Returns the ROCm devices: cards that the compute driver (kfd) serves, or what rocm-smi lists where /sys tells nothing.
 * `cards` are those of `readAmdCards`.
 */
export async function rocmGpus(probe: GpuProbe, cards: readonly AmdCard[]): Promise<Gpu[]> {
  if (Deno.build.os !== "linux") return [];
  if (cards.length === 0) return parseRocmSmi(await rocmSmi(probe) ?? "");
  if (!probe.files.list("/sys/class/kfd/kfd/topology/nodes")?.length) return []; // graphics only
  const driver = probe.files.read("/sys/module/amdgpu/version")?.trim();
  return cards.map((card, index) => ({
    backend: "rocm",
    index,
    name: card.name,
    uuid: card.uuid,
    memory_total_bytes: card.totalBytes,
    memory_free_bytes: card.freeBytes,
    driver_version: driver || undefined,
  }));
}

async function rocmSmi(probe: GpuProbe): Promise<string | undefined> {
  return await outputOf(probe, "rocm-smi", ["--showproductname", "--showmeminfo", "vram", "--showuniqueid", "--json"]);
}

/** Returns the devices in the text of `rocm-smi --showproductname --showmeminfo vram --json`; none when it is no JSON. */
export function parseRocmSmi(json: string): Gpu[] {
  let cards: Record<string, Record<string, string | undefined>>;
  try {
    cards = JSON.parse(json);
  } catch {
    return [];
  }
  const names = Object.keys(cards ?? {}).filter((name) => /^card\d+$/.test(name));
  names.sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)));
  return names.flatMap((name) => {
    const card = cards[name];
    const total = parseBytes(card["VRAM Total Memory (B)"]);
    if (total === undefined) return [];
    const used = parseBytes(card["VRAM Total Used Memory (B)"]) ?? 0;
    const unique = card["Unique ID"];
    return [{
      backend: "rocm" as const,
      name: card["Card Series"] ?? "AMD GPU",
      uuid: unique && unique !== "N/A" ? `GPU-${unique.replace(/^0x/, "")}` : undefined,
      memory_total_bytes: total,
      memory_free_bytes: Math.max(0, total - used),
      compute_capability: card["GFX Version"],
    }];
  }).map((gpu, index) => ({ ...gpu, index }));
}
