/**
 * What strikes while rbee is being sent to another machine.
 *
 * @module
 */
import { canRunCluster } from "../support/cluster.ts";
import { installFaults } from "../support/install_faults.ts";
import type { Fault } from "./fault.ts";
import { asFault } from "./faults_of_machines.ts";

/** Returns these faults; none where no machines can be made (not root, no namespaces). */
export function installationFaults(): Fault[] {
  return canRunCluster() ? installFaults.map((fault) => asFault(fault, false)) : [];
}
