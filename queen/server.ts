/**
 * The queen's endpoints. A handler checks what only the queen can know, and hands over: tasks to the scheduler, the
 * rest to the hive concerned.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { pathOf } from "../protocol/routes.ts";
import type { SubmitTask } from "../protocol/task.ts";
import { call } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import { gauge, metricsResponse } from "../runtime/metrics.ts";
import { type Context, type Endpoint, endpoint } from "../runtime/serve.ts";
import { COMMIT, PLATFORM, VERSION } from "../runtime/version.ts";
import { hiveEndpoints } from "./hive_endpoints.ts";
import { modelEndpoints } from "./model_endpoints.ts";
import type { HiveNews } from "./hive_news.ts";
import { installEndpoints } from "./install_endpoints.ts";
import { nodeList, nodeStates } from "./node_list.ts";
import type { Attach } from "./attach.ts";
import type { Effects } from "./effects.ts";
import type { LiveTask } from "./live_task.ts";
import type { NodeRegistry } from "./nodes.ts";
import { planEndpoint } from "./plan_endpoint.ts";
import { registryEndpoints } from "./registry.ts";
import type { Roster } from "./roster.ts";
import type { Scheduler } from "./scheduler.ts";
import { readDetached, type Tasks } from "./tasks.ts";
import type { KnownWorker } from "./workers.ts";

/** What the handlers reach. */
export interface QueenParts {
  readonly mode: "ephemeral" | "persistent";
  readonly homeId: string;
  readonly scheduler: Scheduler;
  readonly effects: Effects;
  readonly tasks: Tasks;
  readonly attach: Attach;
  readonly registry: NodeRegistry;
  readonly hives: Roster;
  readonly news: HiveNews;
  readonly shutDown: () => void;
  readonly log: Log;
  /** `[remote] git_repo_dir` (S57). */
  readonly gitRepoDir?: string;
  /** How long running tasks may go on when she is told to end. */
  readonly drainMs: number;
}

/** Returns every endpoint of the queen. */
export function queenEndpoints(parts: QueenParts): Endpoint[] {
  const registry = registryEndpoints(parts.registry, parts.hives);
  const hives = hiveEndpoints({ ...parts, refuseIfEphemeral: (what) => refuseIfEphemeral(parts, what) });
  const own = [...ownEndpoints(parts), ...taskEndpoints(parts), ...workerEndpoints(parts)];
  return [...own, planEndpoint(parts), ...hives, ...registry, ...installing(parts), ...modelEndpoints(parts)];
}

function installing(parts: QueenParts): Endpoint[] {
  const { registry, log, gitRepoDir, hives, mode, effects } = parts;
  return installEndpoints({
    registry,
    log,
    gitRepoDir,
    shellOf: (row, say) => hives.shell(row.node_name, say),
    beforeReplace: (node, say) => hives.stopOurs(node, say),
    onInstalled: (node) => mode === "persistent" && effects.dispatch({ type: "hiveWanted", node }),
  });
}

const startedAt = performance.now();
const health = () => ({ status: "ok" as const, version: VERSION });

function ownEndpoints(parts: QueenParts): Endpoint[] {
  return [
    endpoint(queenRoutes.health, health),
    endpoint(queenRoutes.healthV1, health),
    endpoint(queenRoutes.metrics, () => metrics(parts.scheduler)),
    endpoint(queenRoutes.info, () => ({
      version: VERSION,
      commit: COMMIT,
      platform: PLATFORM,
      pid: Deno.pid,
      mode: parts.mode,
      attached: parts.attach.held,
      uptime_s: Math.round((performance.now() - startedAt) / 1_000),
      home_id: parts.homeId,
      moved_aside: parts.registry.movedAside,
      hives: parts.hives.ours(),
    })),
    endpoint(queenRoutes.attach, ({ context }) => context.stream((out) => parts.attach.hold(out))),
    endpoint(queenRoutes.shutdown, () => {
      setTimeout(parts.shutDown, 0); // the answer first
      return Response.json({ status: "shutting_down" }, { status: 202 });
    }),
  ];
}

function metrics(scheduler: Scheduler): Promise<Response> {
  const { waiting, running, slotsHeld } = scheduler.counts();
  gauge("rbee_queen_tasks_waiting", "Tasks without a worker yet: the queue's length").set(waiting);
  gauge("rbee_queen_tasks_running", "Tasks at a worker").set(running);
  gauge("rbee_queen_slots_held", "Slots that tasks hold").set(slotsHeld);
  const workers = gauge("rbee_queen_workers", "Known workers by state", ["state"]);
  workers.reset();
  for (const worker of scheduler.workers()) workers.inc({ state: worker.state });
  return metricsResponse();
}

function taskEndpoints(parts: QueenParts): Endpoint[] {
  const { tasks, effects } = parts;
  return [
    endpoint(queenRoutes.submitTask, ({ body, context }) => submit(body, context, parts)),
    endpoint(queenRoutes.taskEvents, ({ params, context }) => {
      const task = tasks.get(params.id);
      if (!task) throw unknownTask(params.id);
      if (task.delivery === "detached") return context.stream((out) => readDetached(task, out, context.lastEventId));
      throw new RbeeError("TASK_NOT_FOUND", {
        message: `Cannot follow the task ${params.id}: only detached ones can be`,
        hint: "Submit it with detach: true",
      });
    }),
    endpoint(queenRoutes.cancelTask, ({ params }) => {
      if (!tasks.isKnown(params.id)) throw unknownTask(params.id);
      effects.dispatch({ type: "taskCancelled", task: params.id, gently: true });
      return new Response(null, { status: 204 });
    }),
  ];
}

function unknownTask(id: string): RbeeError {
  return new RbeeError("TASK_NOT_FOUND", { message: `Cannot find the task ${id.slice(0, limits.nameCharsMax)}` });
}

function submit(body: SubmitTask, context: Context, parts: QueenParts) {
  if (body.detach) refuseIfEphemeral(parts, "keep a detached task");
  const task = parts.tasks.add(body, context.correlationId);
  begin(task, parts);
  if (task.delivery === "stream") return context.stream((out) => task.follow(out));
  if (task.delivery === "answer") return task.answer(context.signal);
  const events_url = pathOf(queenRoutes.taskEvents, { params: { id: task.id } });
  return Response.json({ task_id: task.id, status: "queued", events_url }, { status: 202 });
}

/** Hands a task to the scheduler. Throws what is known at once: then the client gets a plain error, not a stream. */
function begin(task: LiveTask, parts: QueenParts): void {
  parts.effects.dispatch({ type: "taskSubmitted", wish: task.wish });
  if (task.outcome?.error) throw task.outcome.error;
}

function refuseIfEphemeral(parts: QueenParts, what: string): void {
  if (parts.mode === "persistent") return;
  throw new RbeeError("PERSISTENT_QUEEN_NEEDED", {
    message: `Cannot ${what}: this queen ends with the command that started her`,
  });
}

function workerEndpoints(parts: QueenParts): Endpoint[] {
  const { scheduler, tasks } = parts;
  return [
    endpoint(queenRoutes.nodes, () => ({ nodes: nodeList(parts) })),
    endpoint(queenRoutes.listWorkers, () => ({
      workers: scheduler.workers().flatMap(({ record, node }) =>
        record ? [{ ...record, worker_id: record.id, node }] : []
      ),
      nodes: nodeStates(scheduler),
    })),
    endpoint(queenRoutes.workersHealth, ({ query }) => {
      if (query.node !== undefined) requireNode(query.node, scheduler);
      const isMeant = (node: string) => query.node === undefined || node === query.node;
      const nodes = nodeStates(scheduler).filter(({ node }) => isMeant(node));
      const workers = scheduler.workers().filter(({ node }) => isMeant(node)).map(workerHealth);
      // Whoever asks about one machine wants to know when nothing can be said about it.
      const isBlind = query.node !== undefined && nodes.some(({ error }) => error !== null);
      return { status: isBlind ? "error" as const : "ok" as const, workers, nodes };
    }),
    endpoint(queenRoutes.startWorker, ({ body, context }) => {
      refuseIfEphemeral(parts, "keep a worker");
      const task = tasks.addLoad(body, context.correlationId);
      begin(task, parts);
      return context.stream((out) => task.follow(out));
    }),
    endpoint(queenRoutes.shutdownWorker, ({ body }) => shutdownWorker(body.worker_id, parts)),
  ];
}

const workerHealth = ({ id, node, state, record }: KnownWorker) => ({
  worker_id: id,
  node,
  state,
  ready: state === "idle" || state === "busy",
  failed_health_checks: record?.failed_health_checks ?? 0,
});

function requireNode(name: string, scheduler: Scheduler): void {
  const nodes = scheduler.nodes().map((n) => n.name);
  if (nodes.includes(name)) return;
  const message = `Cannot find node '${name}' in the rbee-hive registry`;
  throw new RbeeError("NODE_NOT_FOUND", { message, details: { node: name, nodes } });
}

async function shutdownWorker(id: string, { scheduler, hives }: QueenParts) {
  const worker = scheduler.workers().find((w) => w.id === id);
  const hive = worker && hives.get(worker.node)?.peer;
  if (!worker || !hive) {
    const message = `Cannot find the worker ${id}`;
    throw new RbeeError("WORKER_NOT_FOUND", { message, details: { worker_id: id } });
  }
  await call(hive, hiveRoutes.shutdownWorker, { params: { id }, deadlineMs: limits.shutdownAckMs, attempts: 1 });
  return { success: true as const, message: `Worker ${id} on ${worker.node} is shutting down` };
}
