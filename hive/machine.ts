/**
 * What this machine has, read freshly: memory and GPUs as detected, overlaid by the probe command when there is one.
 *
 * @module
 */
import type { Gpu, Machine } from "../protocol/node.ts";
import { limits } from "../protocol/limits.ts";
import { PLATFORM } from "../runtime/version.ts";

/** Where the figures come from; tests give their own. */
export interface MachineSources {
  gpus(): Promise<Gpu[]>;
  memory(): { totalBytes: number; availableBytes: number };
  /** Of the disk that holds the models; undefined where it cannot be told. */
  disk(): { totalBytes: number; freeBytes: number } | undefined;
  /** The configured probe; undefined when none is. Throws `CONFIG_INVALID`. */
  probe?(): Promise<Partial<Machine>>;
}

/** Reads this machine; answers within a second are the same. */
export class MachineReader {
  readonly #sources: MachineSources;
  #cached?: { at: number; value: Promise<Machine> };

  constructor(sources: MachineSources) {
    this.#sources = sources;
  }

  /** Returns the machine as it is now, or was `maxAgeMs` ago. Throws `CONFIG_INVALID` when the probe is wrong. */
  read(maxAgeMs: number = limits.machineCacheMs): Promise<Machine> {
    const now = performance.now();
    if (this.#cached && now - this.#cached.at <= maxAgeMs) return this.#cached.value;
    const value = this.#read();
    this.#cached = { at: now, value };
    value.catch(() => this.#cached = undefined); // a mended probe is asked again at once
    return value;
  }

  /** Returns the machine without the probe's say: what a queen is shown while the probe is wrong. */
  async detected(): Promise<Machine> {
    const { gpus, memory, disk } = this.#sources;
    const [found, ram, space] = [await gpus(), memory(), disk()];
    return {
      hostname: Deno.hostname(),
      platform: PLATFORM,
      cpu_cores: navigator.hardwareConcurrency,
      memory_total_bytes: ram.totalBytes,
      memory_available_bytes: ram.availableBytes,
      ...(space && { disk_total_bytes: space.totalBytes, disk_free_bytes: space.freeBytes }),
      gpus: found,
    };
  }

  async #read(): Promise<Machine> {
    const { probe } = this.#sources;
    if (!probe) return await this.detected();
    const [found, said] = await Promise.all([this.detected(), probe()]);
    return { ...found, ...said };
  }
}
