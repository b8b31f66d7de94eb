/**
 * What this machine has, by the hive's own eyes: `rbee-hive detect --json`.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "../protocol/limits.ts";
import { machine } from "../protocol/node.ts";
import { isInstalled, programCommand } from "../runtime/executables.ts";
import { runOnce } from "../runtime/process.ts";
import type { Check } from "./doctor_check.ts";

/** What doctor needs of the answer. */
const detected = z.object({ machine });
const memoryBytesMin = 512 * 1024 ** 2;
const diskBytesMin = 1024 ** 3;
const gigabytes = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GB`;

/** Returns checks for memory, disk and devices. */
export async function checkDetection(signal: AbortSignal): Promise<Check[]> {
  const command = programCommand("rbee-hive");
  if (!isInstalled(command)) return []; // the program's own check tells
  const output = await runOnce(command.exe, [...command.args, "detect", "--json"], {
    timeoutMs: limits.detectMs,
    signal,
  });
  signal.throwIfAborted();
  return checksOf(output?.stdout ?? "");
}

/** Returns the checks for what `detect --json` printed. */
export function checksOf(text: string): Check[] {
  const found = detected.safeParse(json(text));
  if (!found.success) {
    return [{
      ...{ name: "devices", ok: false, essential: false, text: "detection did not answer" },
      fix: "Run it by hand: rbee-hive detect",
    }];
  }
  const { memory_total_bytes: total, memory_available_bytes: free, ...rest } = found.data.machine;
  const { disk_free_bytes: disk, gpus, cpu_cores } = rest;
  const checks: Check[] = [{
    ...{ name: "memory", ok: free >= memoryBytesMin, essential: false },
    ...{ text: `${gigabytes(free)} free of ${gigabytes(total)}`, fix: "Close programs, or use a small model" },
  }];
  if (disk !== undefined) {
    checks.push({
      ...{ name: "disk", ok: disk >= diskBytesMin, essential: false },
      ...{ text: `${gigabytes(disk)} free for models`, fix: "Free space, or set [models] dir in config.toml" },
    });
  }
  const names = gpus.map((gpu) => `${gpu.backend}:${gpu.index} ${gpu.name} (${gigabytes(gpu.memory_free_bytes)} free)`);
  checks.push({ name: "devices", ok: true, essential: false, text: [`cpu (${cpu_cores} cores)`, ...names].join(", ") });
  return checks;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
