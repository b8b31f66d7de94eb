/**
 * `rbee-hive detect`: what this machine can compute with.
 *
 * @module
 */
import { type Backend, backendsOf, type Machine } from "../protocol/node.ts";
import { loadConfig } from "../runtime/config.ts";
import { paths as userPaths } from "../runtime/paths.ts";
import { MachineReader } from "./machine.ts";
import { machineSources } from "./machine_sources.ts";
import { writeOut } from "./output.ts";

const mb = (bytes: number) => `${Math.floor(bytes / (1024 * 1024))} MB`;

/** Prints backends, devices, their total and the two registry texts. Throws `CONFIG_INVALID` for a wrong probe. */
export async function detect(options: { json: boolean }): Promise<void> {
  const paths = userPaths();
  const { config } = loadConfig(paths);
  const machine = await new MachineReader(machineSources(config.hive.probe, "/")).read();
  writeOut(options.json ? `${JSON.stringify(describe(machine), null, 2)}\n` : detectText(machine));
}

/** What `detect --json` prints; `registry` holds two texts, as the node registry keeps them. */
export interface Detected {
  readonly hostname: string;
  readonly backends: { name: Backend; devices: number }[];
  readonly devices_total: number;
  readonly registry: { backends: string; devices: string };
  readonly machine: Machine;
}

/** Returns backends, their devices and the registry texts of a machine. */
export function describe(machine: Machine): Detected {
  const backends = backendsOf(machine.gpus);
  const names = backends.map((one) => one.name);
  return {
    hostname: machine.hostname,
    backends,
    devices_total: backends.reduce((sum, one) => sum + one.devices, 0),
    registry: {
      backends: JSON.stringify(names),
      devices: JSON.stringify(Object.fromEntries(backends.map((one) => [one.name, one.devices]))),
    },
    machine,
  };
}

/** Returns what `detect` prints for a person. */
export function detectText(machine: Machine): string {
  const { backends, devices_total, registry } = describe(machine);
  const count = (n: number) => `${n} ${n === 1 ? "device" : "devices"}`;
  const lines = backends.flatMap(({ name, devices }) => [
    `  ${name.padEnd(8)}${count(devices)}`,
    ...machine.gpus.filter((gpu) => gpu.backend === name).map((gpu) =>
      `    ${gpu.index}  ${gpu.name}, ${mb(gpu.memory_free_bytes)} of ${mb(gpu.memory_total_bytes)} free`
    ),
  ]);
  return [
    `Backends of ${machine.hostname}:`,
    ...lines,
    `Total: ${count(devices_total)}`,
    `Memory: ${mb(machine.memory_available_bytes)} of ${mb(machine.memory_total_bytes)} available`,
    "Registry:",
    `  backends  ${registry.backends}`,
    `  devices   ${registry.devices}`,
    "",
  ].join("\n");
}
