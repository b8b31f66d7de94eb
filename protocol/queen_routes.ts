/**
 * The queen's endpoints.
 *
 * @module
 */
import * as z from "zod";
import { inferenceAnswer } from "./inference.ts";
import { installWish, uninstallWish } from "./install.ts";
import { limits } from "./limits.ts";
import { beehiveChange, machine, newNode, node, nodeName, registeredNode } from "./node.ts";
import { modelRecord } from "./model.ts";
import { plan, planWish } from "./plan.ts";
import { route } from "./routes.ts";
import { startWorker, submitTask, taskAccepted } from "./task.ts";
import { shutdownAccepted, workerId, workerRecord } from "./worker.ts";

const daemonHealth = z.object({ status: z.literal("ok"), version: z.string() });
const done = z.object({ success: z.literal(true), message: z.string() });
const nodeAnswer = done.extend({ node_name: z.string() });
const namedNode = z.strictObject({ node_name: nodeName });
/**
 * How it stands with a node's hive. `unreachable`: nothing answers there; `failed`: the machine answers, and its hive
 * could not be had. `error` says why, for these two.
 */
const nodeState = z.object({
  node: z.string(),
  status: z.enum(["connected", "starting", "not-connected", "not-installed", "failed", "unreachable"]),
  error: z.string().nullable(),
});
const listedNode = node.extend({
  machine: machine.nullable(),
  /** Only of a hive that is reached without SSH. */
  hive_url: z.string().nullable(),
  /** These four are null when no hive is connected; `leased`: it ends with its queen. */
  hive_version: z.string().nullable(),
  hive_pid: z.number().int().nullable(),
  leased: z.boolean().nullable(),
  hive_status: nodeState.shape.status,
  ssh_host: z.string().nullable(),
  ssh_user: z.string().nullable(),
  workers: z.number(),
});
const listedWorker = workerRecord.extend({ worker_id: z.string(), node: z.string() });

const modelText = z.string().min(1).max(limits.modelRefCharsMax);
/** Without `node`: the queen chooses, or looks on all of them. */
const modelOn = z.strictObject({ model: modelText, node: nodeName.optional() });

/** Schema of the JSON event that ends `pullModel`. */
export const modelPulled = z.object({
  node: z.string(),
  model_ref: z.string(),
  /** `cached`: it was there; `hub` and `peer`: where its bytes came from. */
  source: z.enum(["cached", "hub", "peer"]),
  bytes: z.number(),
  model: modelRecord,
});

/** How a model came to a machine. */
export type ModelPulled = z.infer<typeof modelPulled>;

const hiveOf = z.strictObject({ node: nodeName });
const logQuery = z.object({
  node: nodeName,
  /** Absent: the hive's own log. */
  worker: workerId.optional(),
  lines: z.coerce.number().int().min(0).max(limits.logLinesMax).default(limits.logLinesDefault),
  follow: z.stringbool().default(false),
});

/** Schema of what `hives/start`, `stop` and `restart` end with. */
export const hiveChange = z.object({
  node: z.string(),
  /** `running`: it was connected before; `found`: somebody else had started it; `none`: there was nothing to stop. */
  result: z.enum(["running", "found", "started", "restarted", "stopped", "killed", "none"]),
  hive_version: z.string().optional(),
  hive_port: z.number().int().optional(),
  hive_pid: z.number().int().optional(),
  leased: z.boolean().optional(),
});

/** How a hive was started or stopped. */
export type HiveChange = z.infer<typeof hiveChange>;

/** How it stands with a node's hive. */
export type NodeState = z.infer<typeof nodeState>;

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
      /** Where a damaged registry was moved when this queen started. */
      moved_aside: z.string().optional(),
      /** Nodes whose hives end with her. */
      hives: z.array(z.string()).default([]),
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
    answer: z.object({ nodes: z.array(listedNode) }),
  }),
  /** These three: narration, then one JSON event (`hiveChange`), then the end mark. */
  startHive: route({ method: "POST", path: "/v2/hives/start", access: "token", body: hiveOf, stream: true }),
  stopHive: route({ method: "POST", path: "/v2/hives/stop", access: "token", body: hiveOf, stream: true }),
  restartHive: route({ method: "POST", path: "/v2/hives/restart", access: "token", body: hiveOf, stream: true }),
  /** A log of a node as it stands there, also when its hive does not run. */
  logs: route({ method: "GET", path: "/v2/logs", access: "token", query: logQuery, stream: true }),
  /** Everything that the queen tells from now on, until she ends. */
  narration: route({ method: "GET", path: "/v2/narration", access: "token", stream: true }),
  /** Tests the login first; the row is durable before the answer goes out. */
  addBeehive: route({
    method: "POST",
    path: "/v2/registry/beehives/add",
    access: "token",
    body: newNode,
    answer: nodeAnswer,
  }),
  /** The machines that are reached by SSH, by name. */
  listBeehives: route({
    method: "GET",
    path: "/v2/registry/beehives/list",
    access: "open",
    answer: z.object({ nodes: z.array(registeredNode) }),
  }),
  updateBeehive: route({
    method: "POST",
    path: "/v2/registry/beehives/update",
    access: "token",
    body: beehiveChange,
    answer: nodeAnswer,
  }),
  removeBeehive: route({
    method: "POST",
    path: "/v2/registry/beehives/remove",
    access: "token",
    body: namedNode,
    answer: nodeAnswer,
  }),
  /** Puts rbee on a node. Narration and progress, then one JSON event (`installResult`), then the end mark. */
  installBeehive: route({
    method: "POST",
    path: "/v2/registry/beehives/install",
    access: "token",
    body: installWish,
    stream: true,
  }),
  /** Takes rbee off a node. Streams as `installBeehive`; the JSON event is `uninstallResult`. */
  uninstallBeehive: route({
    method: "POST",
    path: "/v2/registry/beehives/uninstall",
    access: "token",
    body: uninstallWish,
    stream: true,
  }),
  testBeehive: route({
    method: "POST",
    path: "/v2/registry/beehives/test",
    access: "token",
    body: namedNode,
    answer: nodeAnswer,
  }),
  listWorkers: route({
    method: "GET",
    path: "/v2/workers/list",
    access: "open",
    answer: z.object({ workers: z.array(listedWorker), nodes: z.array(nodeState) }),
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
      nodes: z.array(nodeState),
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
  /** What would become of a task, without doing it. */
  plan: route({ method: "POST", path: "/v2/plan", access: "open", body: planWish, answer: plan }),
  /** The models of one machine, or of all; one that does not answer is in `nodes`. */
  models: route({
    method: "GET",
    path: "/v2/models",
    access: "open",
    query: z.object({ node: nodeName.optional() }),
    answer: z.object({
      models: z.array(modelRecord.extend({ node: z.string(), ref: z.string() })),
      nodes: z.array(nodeState),
    }),
  }),
  /** Narration and progress, then one JSON event (`modelPulled`), then the end mark. A reader that leaves ends it. */
  pullModel: route({ method: "POST", path: "/v2/models/pull", access: "token", body: modelOn, stream: true }),
  /** These three go to one machine; without `node` that is this one, or the only one that has the model. */
  removeModel: route({
    method: "POST",
    path: "/v2/models/remove",
    access: "token",
    body: modelOn,
    answer: z.object({ node: z.string(), model_ref: z.string(), removed_bytes: z.number(), kept: z.array(z.string()) }),
  }),
  /** Streams as the hive's own routes of these names do. */
  verifyModel: route({ method: "POST", path: "/v2/models/verify", access: "token", body: modelOn, stream: true }),
  importModels: route({
    method: "POST",
    path: "/v2/models/import",
    access: "token",
    body: z.strictObject({ path: z.string().min(1).max(limits.pathCharsMax), node: nodeName.optional() }),
    stream: true,
  }),
  shutdown: route({ method: "POST", path: "/v2/shutdown", access: "token", answer: shutdownAccepted }),
});
