/**
 * The hive's endpoints.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { backendsOf, type Machine } from "../protocol/node.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { workerId } from "../protocol/worker.ts";
import { isFile } from "../runtime/files.ts";
import type { Log } from "../runtime/log.ts";
import { type Endpoint, endpoint } from "../runtime/serve.ts";
import { VERSION } from "../runtime/version.ts";
import { downloadEndpoints } from "./download_endpoints.ts";
import type { Downloads } from "./downloads.ts";
import type { Events } from "./events.ts";
import type { Lease } from "./lease.ts";
import { tailLog } from "./log_tail.ts";
import type { MachineReader } from "./machine.ts";
import { hiveMetrics } from "./measures.ts";
import { modelEndpoints } from "./model_endpoints.ts";
import type { Models } from "./models.ts";
import type { Pool } from "./pool.ts";

/** What the endpoints answer from. */
export interface HiveParts {
  readonly pool: Pool;
  readonly models: Models;
  readonly downloads: Downloads;
  readonly machine: MachineReader;
  readonly events: Events;
  readonly lease: Lease;
  readonly log: Log;
  /** See `homeId` of `runtime/auth.ts`, of the hive's own token. */
  readonly homeId: string;
  /** The folder of the logs. */
  readonly logs: string;
  /** Ends the hive, as a signal would. */
  readonly shutDown: () => void;
}

const bytesPerGb = 1024 ** 3;
const gb = (bytes: number) => Math.round(bytes / bytesPerGb * 100) / 100;

/** Returns every endpoint of a hive. */
export function hiveEndpoints(parts: HiveParts): Endpoint[] {
  return [
    ...healthEndpoints(parts),
    ...workerEndpoints(parts),
    ...modelEndpoints(parts),
    ...machineEndpoints(parts),
    ...downloadEndpoints(parts),
    ...controlEndpoints(parts),
  ];
}

function healthEndpoints({ pool, homeId }: HiveParts): Endpoint[] {
  const alive = { status: "alive", version: VERSION, api_version: "v1", home_id: homeId } as const;
  return [
    endpoint(hiveRoutes.health, () => alive),
    endpoint(hiveRoutes.healthShort, () => alive),
    endpoint(hiveRoutes.live, () => ({ status: "alive" })),
    endpoint(hiveRoutes.ready, () => {
      const workers = pool.workers();
      const ready = workers.filter((worker) => worker.state === "idle" || worker.state === "busy").length;
      const counts = { workers_total: workers.length, workers_ready: ready };
      if (ready > 0) return { status: "ready", ...counts };
      throw new RbeeError("TEMPORARY_UNAVAILABLE", {
        message: "Cannot infer yet: no worker is ready",
        details: counts,
      });
    }),
    endpoint(hiveRoutes.metrics, () => hiveMetrics(pool.workers())),
  ];
}

function workerEndpoints({ pool, models }: HiveParts): Endpoint[] {
  return [
    endpoint(hiveRoutes.spawnWorker, async ({ body, context }) => {
      using _held = models.holds.hold(body.model_ref); // nobody removes it before its worker stands in the list
      const spawned = await pool.spawn(body, context.correlationId);
      models.used(models.parse(body.model_ref));
      return spawned;
    }),
    endpoint(hiveRoutes.workerReady, ({ body, context }) => ({
      message: pool.ready(body, (key) => context.sent(key)),
    })),
    endpoint(hiveRoutes.listWorkers, () => ({ workers: pool.list() })),
    endpoint(hiveRoutes.shutdownWorker, ({ params }) => {
      if (!pool.workers().some((worker) => worker.facts.id === params.id)) throw notFound(params.id);
      pool.stop(params.id, "stopped").catch(() => {}); // it went by itself meanwhile: what was asked for
      return Response.json({ status: "shutting_down" }, { status: 202 });
    }),
  ];
}

function notFound(id: string): RbeeError {
  const known = workerId.safeParse(id).success ? id : undefined; // what is no id at all is not repeated
  return new RbeeError("WORKER_NOT_FOUND", {
    message: known && `Cannot find the worker ${known}`,
    details: known ? { worker_id: known } : {},
  });
}

function machineEndpoints({ machine }: HiveParts): Endpoint[] {
  return [
    endpoint(hiveRoutes.backends, async () => ({
      backends: backendsOf((await machine.read()).gpus).map((one) => ({ ...one, available: true })),
    })),
    endpoint(hiveRoutes.resources, async () => {
      const now: Machine = await machine.read();
      return {
        ...now,
        ram_total_gb: gb(now.memory_total_bytes),
        ram_available_gb: gb(now.memory_available_bytes),
        disk_total_gb: gb(now.disk_total_bytes ?? 0),
        disk_available_gb: gb(now.disk_free_bytes ?? 0),
      };
    }),
  ];
}

function controlEndpoints({ events, lease, logs, shutDown }: HiveParts): Endpoint[] {
  return [
    endpoint(hiveRoutes.events, ({ context }) => context.stream((out) => events.serve(out))),
    endpoint(hiveRoutes.lease, ({ body }) => {
      lease.renew(body);
      return { lease_ms: lease.leaseMs, leased: lease.isLeased };
    }),
    endpoint(hiveRoutes.logs, ({ query, context }) => {
      const path = logPath(logs, query.worker);
      const type = { contentType: "text/plain; charset=utf-8", keepAlive: false };
      return context.stream(async (out) => {
        const signal = AbortSignal.any([out.signal, context.stopping]);
        for await (const piece of tailLog(path, { ...query, signal })) await out.write(piece);
      }, type);
    }),
    endpoint(hiveRoutes.shutdown, () => {
      shutDown();
      return Response.json({ status: "shutting_down" }, { status: 202 });
    }),
  ];
}

/** Returns the log's path. An id is checked before it becomes part of one, so that nothing else can be read. */
function logPath(logs: string, worker: string | undefined): string {
  if (worker === undefined) return `${logs}/hive.log`;
  const path = `${logs}/${worker}.log`;
  if (!workerId.safeParse(worker).success || !isFile(path)) throw notFound(worker);
  return path;
}
