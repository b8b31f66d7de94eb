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
import { route } from "./routes.ts";
import { startWorker, submitTask, taskAccepted } from "./task.ts";
import { shutdownAccepted, workerRecord } from "./worker.ts";

const daemonHealth = z.object({ status: z.literal("ok"), version: z.string() });
const done = z.object({ success: z.literal(true), message: z.string() });
const nodeAnswer = done.extend({ node_name: z.string() });
const namedNode = z.strictObject({ node_name: nodeName });
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
      /** Where a damaged registry was moved when this queen started. */
      moved_aside: z.string().optional(),
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
