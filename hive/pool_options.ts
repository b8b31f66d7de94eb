/**
 * What the pool of workers is given.
 *
 * @module
 */
import type { Backend } from "../protocol/node.ts";
import type { SpawnWorker, WorkDone } from "../protocol/worker.ts";
import type { ProgramCommand } from "../runtime/executables.ts";
import type { Log } from "../runtime/log.ts";
import type { Events } from "./events.ts";
import type { PromiseMemory } from "./preflight.ts";
import type { SpawnPlan } from "./spawn_plan.ts";
import type { HiveTls } from "./tls.ts";
import type { WorkerPorts } from "./worker_ports.ts";

/** What a pool works with. */
export interface PoolOptions {
  /** Settles everything before a process is started, and has the memory promised; throws the refusals. */
  readonly plan: (wish: SpawnWorker, promise: PromiseMemory) => Promise<SpawnPlan>;
  readonly command: (backend: Backend) => ProgramCommand;
  /** The hive's token: workers' keys are derived from it. */
  readonly token: string;
  /** Where workers call back; known once the hive listens. */
  readonly callbackUrl: () => string;
  /** Where worker folders and logs lie. */
  readonly folders: string;
  readonly logs: string;
  readonly ports: WorkerPorts;
  /** The host in workers' addresses. */
  readonly workerHost: string;
  /** Given to workers when they listen on the network. */
  readonly listen?: string;
  /** What workers speak TLS with, and what we trust there. */
  readonly tls?: HiveTls;
  readonly readyMs: number;
  readonly drainMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly termGraceMs?: number;
  readonly events: Events;
  readonly log: Log;
  readonly onCalibration: (name: string, threads: number) => void;
  /** Told of what workers compute. */
  readonly onWork: (plan: SpawnPlan, work: { before?: WorkDone; after: WorkDone }) => void;
  /** How many processes the kernel ended for want of memory so far; undefined where it does not tell. */
  readonly oomKills: () => number | undefined;
}
