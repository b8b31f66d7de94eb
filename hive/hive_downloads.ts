/**
 * Ties a hive's downloads to its catalog, its configuration and its machine.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { Config } from "../runtime/config.ts";
import type { Paths } from "../runtime/paths.ts";
import { Downloads } from "./downloads.ts";
import { setHubEndpoint } from "./hub_access.ts";
import type { MachineReader } from "./machine.ts";
import { factsOfRow } from "./model_row.ts";
import type { Models } from "./models.ts";

/** What they are tied to. */
export interface DownloadGround {
  readonly paths: Paths;
  readonly config: Readonly<Config>;
  readonly models: Models;
  readonly machine: MachineReader;
}

/** Returns the downloads of a hive. */
export function hiveDownloads({ paths, config, models, machine }: DownloadGround): Downloads {
  setHubEndpoint(config.models.hf_endpoint);
  return new Downloads({
    folder: config.models.dir ?? paths.models,
    stallMs: config.models.stall_timeout_s * 1_000,
    known: async (ref) => {
      const row = await models.here(ref);
      return row && { path: row.local_path, facts: factsOfRow(row) };
    },
    onArrived: (entry, files) => models.arrived(entry, files),
    memoryBytes: () => largestMemory(machine),
  });
}

async function largestMemory(machine: MachineReader): Promise<number | undefined> {
  try {
    const { memory_total_bytes, gpus } = await machine.read(limits.hivePictureAgeMs);
    return Math.max(memory_total_bytes, ...gpus.map((gpu) => gpu.memory_total_bytes)) || undefined;
  } catch {
    return undefined; // a wrong probe: whoever spawns a worker is told
  }
}
