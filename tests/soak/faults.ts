/**
 * All faults, in the order in which they are played.
 *
 * @module
 */
import type { Fault } from "./fault.ts";
import { clientFaults } from "./faults_of_clients.ts";
import { downloadFaults } from "./faults_of_downloads.ts";
import { installationFaults } from "./faults_of_installs.ts";
import { machineFaults } from "./faults_of_machines.ts";
import { interruptFaults } from "./faults_of_interrupts.ts";
import { registryFaults } from "./faults_of_the_registry.ts";
import { signalFaults } from "./faults_of_signals.ts";
import { stoppedWorkerFaults } from "./faults_of_stopped_workers.ts";

/** Returns every fault; with `only` those whose name holds it. */
export function faults(only = ""): Fault[] {
  const all = [
    ...signalFaults(),
    ...interruptFaults(),
    ...clientFaults(),
    ...stoppedWorkerFaults(),
    ...registryFaults(),
    ...downloadFaults(),
    ...machineFaults(),
    ...installationFaults(),
  ];
  return all.filter((fault) => fault.name.includes(only));
}
