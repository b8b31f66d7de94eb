/**
 * The hive's endpoints, and what it sends on its event stream.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "./limits.ts";
import { modelRecord } from "./model.ts";
import { backend, machine } from "./node.ts";
import { route } from "./routes.ts";
import { shutdownAccepted, spawnedWorker, spawnWorker, workerReady, workerRecord } from "./worker.ts";

const logQuery = z.object({
  worker: z.string().optional(),
  lines: z.coerce.number().int().min(0).max(limits.logLinesMax).default(limits.logLinesDefault),
  follow: z.stringbool().default(false),
});

/** The hive's endpoints. */
export const hiveRoutes = Object.freeze({
  health: route({
    method: "GET",
    path: "/v1/health",
    access: "public",
    answer: z.object({
      status: z.literal("alive"),
      version: z.string(),
      api_version: z.literal("v1"),
      /** Shows whose hive this is, without its token: whoever took the port of a hive that is gone is not told it. */
      home_id: z.string(),
    }),
  }),
  healthShort: route({ method: "GET", path: "/health", access: "public" }),
  live: route({ method: "GET", path: "/health/live", access: "public" }),
  ready: route({ method: "GET", path: "/health/ready", access: "public" }),
  metrics: route({ method: "GET", path: "/metrics", access: "public", stream: true }),
  spawnWorker: route({
    method: "POST",
    path: "/v1/workers/spawn",
    access: "token",
    body: spawnWorker,
    answer: spawnedWorker,
  }),
  workerReady: route({
    method: "POST",
    path: "/v1/workers/ready",
    access: "worker",
    body: workerReady,
    answer: z.object({ message: z.string() }),
  }),
  listWorkers: route({
    method: "GET",
    path: "/v1/workers/list",
    access: "token",
    answer: z.object({ workers: z.array(workerRecord) }),
  }),
  shutdownWorker: route({
    method: "POST",
    path: "/v1/workers/:id/shutdown",
    access: "token",
    answer: shutdownAccepted,
  }),
  models: route({
    method: "GET",
    path: "/v1/models",
    access: "token",
    answer: z.object({ models: z.array(modelRecord) }),
  }),
  backends: route({
    method: "GET",
    path: "/v1/backends",
    access: "token",
    answer: z.object({ backends: z.array(z.object({ name: backend, available: z.boolean(), devices: z.number() })) }),
  }),
  resources: route({
    method: "GET",
    path: "/v1/resources",
    access: "token",
    answer: machine.extend({
      ram_total_gb: z.number(),
      ram_available_gb: z.number(),
      disk_total_gb: z.number(),
      disk_available_gb: z.number(),
    }),
  }),
  events: route({ method: "GET", path: "/v1/events", access: "token", stream: true }),
  lease: route({
    method: "POST",
    path: "/v1/lease",
    access: "token",
    body: z.strictObject({
      /** Names the queen that holds this hive: the same for every queen of one RBEE_HOME, of which only one can live. */
      queen_id: z.string().min(1).max(limits.nameCharsMax),
      host: z.string().min(1).max(255),
      version: z.string().min(1).max(64),
    }),
    answer: z.object({
      lease_ms: z.number(),
      /** Whether this hive ends when its lease is over: false for one that an operator started. */
      leased: z.boolean(),
    }),
  }),
  logs: route({ method: "GET", path: "/v1/logs", access: "token", query: logQuery, stream: true }),
  shutdown: route({ method: "POST", path: "/v1/admin/shutdown", access: "token", answer: shutdownAccepted }),
});

/** Schema of what a hive sends on its `GET /v1/events`: the whole picture, after each change. */
export const hiveStatus = z.object({
  version: z.string(),
  machine,
  workers: z.array(workerRecord),
});

/** The whole picture of one hive. */
export type HiveStatus = z.infer<typeof hiveStatus>;

/** Schema of the hive's `worker-gone` event: why a worker is no longer there. */
export const workerGone = z.object({
  worker_id: z.string(),
  /** `stopped`, `idle`, `crashed`, `unhealthy`, `load-failed`, `timeout`. */
  reason: z.string(),
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
    hint: z.string().optional(),
  }).optional(),
});

/** Why a worker is no longer there. */
export type WorkerGone = z.infer<typeof workerGone>;
