/**
 * Every endpoint of every program: method, path, who may call it, and the schemas of what goes in and comes out.
 * The only place with URL paths; servers and clients name a route.
 *
 * @module
 */
import * as z from "zod";
import { inferenceAnswer, inferenceRequest } from "./inference.ts";
import { limits } from "./limits.ts";
import { modelRecord } from "./model.ts";
import { backend, machine, node, nodeName } from "./node.ts";
import { startWorker, submitTask, taskAccepted } from "./task.ts";
import { spawnedWorker, spawnWorker, workerReady, workerRecord, workerStatus } from "./worker.ts";

/**
 * Who may call: `public` everybody; `open` everybody on loopback while no token is configured, else a token;
 * `token` always a token; `worker` the program's token or the key of the worker that the body names.
 */
export type Access = "public" | "open" | "token" | "worker";

/** One endpoint. `stream` answers with server-sent events (or text), all others with JSON. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** With `:name` for parameters. */
  readonly path: string;
  readonly access: Access;
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  readonly answer?: z.ZodType;
  readonly stream?: boolean;
}

const route = <const R extends Route>(r: R): Readonly<R> => Object.freeze(r);

/** The parsed body that a route takes. */
export type BodyOf<R extends Route> = R["body"] extends z.ZodType ? z.output<R["body"]> : undefined;
/** What a client gives as the body. */
export type BodyInput<R extends Route> = R["body"] extends z.ZodType ? z.input<R["body"]> : undefined;
/** The parsed query that a route takes. */
export type QueryOf<R extends Route> = R["query"] extends z.ZodType ? z.output<R["query"]> : undefined;
/** The parsed answer of a route. */
export type AnswerOf<R extends Route> = R["answer"] extends z.ZodType ? z.output<R["answer"]> : unknown;

const daemonHealth = z.object({ status: z.literal("ok"), version: z.string() });
const done = z.object({ success: z.literal(true), message: z.string() });
const shutdownAccepted = z.object({ status: z.literal("shutting_down") });
const logQuery = z.object({
  worker: z.string().optional(),
  lines: z.coerce.number().int().min(0).max(limits.logLinesMax).default(limits.logLinesDefault),
  follow: z.stringbool().default(false),
});
const listedWorker = workerRecord.extend({ worker_id: z.string(), node: z.string() });

/** The queen's endpoints. */
export const queenRoutes = Object.freeze({
  health: route({ method: "GET", path: "/health", access: "public", answer: daemonHealth }),
  healthV1: route({ method: "GET", path: "/v1/health", access: "public", answer: daemonHealth }),
  metrics: route({ method: "GET", path: "/metrics", access: "open", stream: true }),
  info: route({
    method: "GET",
    path: "/v2/info",
    access: "open",
    answer: z.object({
      version: z.string(),
      commit: z.string(),
      platform: z.string(),
      pid: z.number(),
      mode: z.enum(["ephemeral", "persistent"]),
      attached: z.number(),
      uptime_s: z.number(),
      /** Only in rbee's own home; compared by keepers that look for their queen. */
      home_id: z.string(),
    }),
  }),
  attach: route({ method: "GET", path: "/v2/attach", access: "token", stream: true }),
  submitTask: route({
    method: "POST",
    path: "/v2/tasks",
    access: "open",
    body: submitTask,
    answer: z.union([inferenceAnswer, taskAccepted]),
    stream: true,
  }),
  taskEvents: route({ method: "GET", path: "/v2/tasks/:id/events", access: "open", stream: true }),
  cancelTask: route({ method: "DELETE", path: "/v2/tasks/:id", access: "open" }),
  nodes: route({
    method: "GET",
    path: "/v2/nodes",
    access: "open",
    answer: z.object({
      nodes: z.array(
        node.extend({ machine: machine.nullable(), hive_url: z.string().nullable(), workers: z.number() }),
      ),
    }),
  }),
  listWorkers: route({
    method: "GET",
    path: "/v2/workers/list",
    access: "open",
    answer: z.object({ workers: z.array(listedWorker) }),
  }),
  workersHealth: route({
    method: "GET",
    path: "/v2/workers/health",
    access: "open",
    query: z.object({ node: nodeName.optional() }),
    answer: z.object({
      status: z.enum(["ok", "error"]),
      workers: z.array(
        z.object({
          worker_id: z.string(),
          node: z.string(),
          state: z.string(),
          ready: z.boolean(),
          failed_health_checks: z.number(),
        }),
      ),
    }),
  }),
  startWorker: route({
    method: "POST",
    path: "/v2/workers/start",
    access: "token",
    body: startWorker,
    /** Narration and progress, then one JSON event with the worker, then the end mark. */
    stream: true,
  }),
  shutdownWorker: route({
    method: "POST",
    path: "/v2/workers/shutdown",
    access: "token",
    body: z.strictObject({ worker_id: z.string().min(1).max(limits.nameCharsMax) }),
    answer: done,
  }),
  shutdown: route({ method: "POST", path: "/v2/shutdown", access: "token", answer: shutdownAccepted }),
});

/** The hive's endpoints. */
export const hiveRoutes = Object.freeze({
  health: route({
    method: "GET",
    path: "/v1/health",
    access: "public",
    answer: z.object({ status: z.literal("alive"), version: z.string(), api_version: z.literal("v1") }),
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
      /** Names the queen that holds this hive: made anew at each start of a queen. */
      queen_id: z.string().min(1).max(limits.nameCharsMax),
      host: z.string().min(1).max(255),
      version: z.string().min(1).max(64),
    }),
    answer: z.object({ lease_ms: z.number() }),
  }),
  logs: route({ method: "GET", path: "/v1/logs", access: "token", query: logQuery, stream: true }),
  shutdown: route({ method: "POST", path: "/v1/admin/shutdown", access: "token", answer: shutdownAccepted }),
});

/** The worker's endpoints. */
export const workerRoutes = Object.freeze({
  health: route({ method: "GET", path: "/health", access: "public" }),
  healthV1: route({
    method: "GET",
    path: "/v1/health",
    access: "public",
    answer: z.object({
      status: z.enum(["healthy", "unhealthy"]),
      version: z.string(),
      state: z.string(),
      vram_bytes: z.number(),
      uptime_seconds: z.number(),
      /** S19, S20: what the file's header says; null while loading. */
      model: z.object({
        model_ref: z.string(),
        variant: z.string(),
        architecture: z.string(),
        quantization: z.string(),
        vocab_size: z.number(),
        eos_token_id: z.number(),
        context_length: z.number(),
        ctx: z.number(),
        size_bytes: z.number(),
        layers_total: z.number(),
        threads: z.number(),
      }).nullable(),
    }),
  }),
  ready: route({
    method: "GET",
    path: "/v1/ready",
    access: "token",
    answer: z.object({
      ready: z.boolean(),
      state: z.string(),
      progress_url: z.string().optional(),
      model_loaded: z.boolean().optional(),
    }),
  }),
  loadingProgress: route({ method: "GET", path: "/v1/loading/progress", access: "token", stream: true }),
  inference: route({
    method: "POST",
    path: "/v1/inference",
    access: "token",
    body: inferenceRequest,
    answer: inferenceAnswer,
    stream: true,
  }),
  cancel: route({ method: "DELETE", path: "/v1/inference/:id", access: "token" }),
  /** `workerStatus` at once after each change, as default events. */
  events: route({ method: "GET", path: "/v1/events", access: "token", stream: true }),
  shutdown: route({ method: "POST", path: "/v1/admin/shutdown", access: "token", answer: shutdownAccepted }),
  metrics: route({ method: "GET", path: "/metrics", access: "public", stream: true }),
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

/** Names of the headers that rbee's programs send each other. */
export const headers = Object.freeze({
  correlationId: "x-correlation-id",
  version: "x-rbee-version",
  program: "x-rbee-program",
});

/** Re-exported for those who read a worker's events. */
export { workerStatus };

/** Returns the path of a route with its parameters filled in and its query appended. */
export function pathOf(
  r: Route,
  options: { params?: Record<string, string>; query?: Record<string, string | number | boolean | undefined> } = {},
): string {
  const path = r.path.replace(/:([a-z_]+)/g, (_all, key: string) => {
    const value = options.params?.[key];
    if (value === undefined) throw new TypeError(`Cannot make the path ${r.path}: ${key} is missing`);
    return encodeURIComponent(value);
  });
  const pairs = Object.entries(options.query ?? {}).filter(([, value]) => value !== undefined);
  if (pairs.length === 0) return path;
  return `${path}?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)]))}`;
}
