/**
 * Which worker program computes on which backend: the plain one, or a variant for GPUs that lies beside the hive.
 *
 * @module
 */
import { type Backend, backendNames } from "../protocol/node.ts";
import { isInstalled, type ProgramCommand, programCommand } from "../runtime/executables.ts";
import { IS_COMPILED } from "../runtime/version.ts";

const plain = "llm-worker-rbee";

/** The plain worker's own backends: on a Mac its libraries include Metal. */
const plainBackends: ReadonlySet<Backend> = new Set<Backend>(Deno.build.os === "darwin" ? ["cpu", "metal"] : ["cpu"]);

function variant(backend: Backend): ProgramCommand | undefined {
  if (!IS_COMPILED || plainBackends.has(backend)) return undefined;
  const command = programCommand(plain, `${plain}-${backend}`);
  return isInstalled(command) ? command : undefined;
}

/** Returns the backends for which a worker is there. */
export function installedBackends(): ReadonlySet<Backend> {
  return new Set(backendNames.filter((backend) => plainBackends.has(backend) || variant(backend) !== undefined));
}

/** Returns how to start a worker; for a backend without a variant the plain one, which then says what it lacks. */
export function workerCommand(backend: Backend): ProgramCommand {
  return variant(backend) ?? programCommand(plain);
}
