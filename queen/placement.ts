/**
 * Where a task goes: a pure function of the task's demand and of what is known about nodes, workers and spawns.
 * The only place in rbee that chooses a machine or a worker; every answer says why.
 *
 * @module
 */
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { type Backend, backendsOf, type Machine } from "../protocol/node.ts";
import type { WorkerState } from "../protocol/worker.ts";

/** What a task asks of its worker. An absent field means: any. */
export interface Demand {
  /** Canonical reference: aliases are resolved before a task reaches the scheduler. */
  readonly model: string;
  readonly node?: string;
  readonly backend?: Backend;
  readonly device?: number;
  /** Tokens that one slot must hold. */
  readonly ctx?: number;
  /** Only of `workers start`: the idle time-out that the worker must have been started with. */
  readonly keepS?: number;
}

/** What placement knows of a worker. */
export interface WorkerView {
  readonly id: string;
  readonly node: string;
  readonly model: string;
  /** Undefined: its hive has not shown it yet and chose by itself. */
  readonly backend?: Backend;
  readonly device?: number;
  readonly state: WorkerState;
  readonly slotsTotal: number;
  /** Slots that tasks of ours hold. Somebody else's are unknown: the worker refuses then, see `refuses`. */
  readonly slotsHeld: number;
  readonly ctx?: number;
  /** What it was asked for at its start: it has less only when the model cannot do more. */
  readonly ctxAsked?: number;
  readonly keepS?: number;
  /** It said that all slots are busy, and nothing has happened since that would change this. */
  readonly refuses: boolean;
  /** It broke a stream or was given up: not to be used until its hive has had time to look. */
  readonly suspect: boolean;
}

/** A worker that is on its way: its hive has not answered yet. */
export interface SpawnView {
  readonly id: string;
  readonly node: string;
  readonly demand: Demand;
}

/** What placement knows of a node. */
export interface NodeView {
  readonly name: string;
  readonly hive: "down" | "starting" | "up";
  readonly machine?: Machine;
  /** Why its hive is down. */
  readonly error?: string;
  readonly code?: ErrorCode;
}

/** Everything that is known when a task is placed. */
export interface Known {
  readonly nodes: readonly NodeView[];
  readonly workers: readonly WorkerView[];
  readonly spawns: readonly SpawnView[];
}

/** What to do with a task, and why. */
export type Placement =
  & (
    | { readonly kind: "reuse"; readonly worker: string }
    | { readonly kind: "await-loading"; readonly worker: string }
    | { readonly kind: "await-spawn"; readonly spawn: string }
    | { readonly kind: "await-slot"; readonly workers: readonly string[]; readonly slotsTotal: number }
    | { readonly kind: "spawn"; readonly node: string }
    | { readonly kind: "refuse"; readonly error: RbeeError }
  )
  & { readonly reasons: readonly string[] };

/** Returns where a task with this demand goes now. Pure; never throws. */
export function place(demand: Demand, known: Known): Placement {
  const nodes = known.nodes.filter((n) => demand.node === undefined || n.name === demand.node);
  if (nodes.length === 0) return refuseWithoutNode(demand, known);
  const here = new Set(nodes.map((n) => n.name));
  const matching = known.workers.filter((w) => here.has(w.node) && !whyNot(demand, w));
  const free = matching.filter((w) => isReady(w) && w.slotsHeld < w.slotsTotal && !w.refuses);
  if (free.length > 0) {
    const worker = free.reduce((a, b) => better(a, b) ? a : b);
    return { kind: "reuse", worker: worker.id, reasons: [`${worker.id} holds the model and has a free slot`] };
  }
  const loading = matching.find((w) => w.state === "loading");
  if (loading) return { kind: "await-loading", worker: loading.id, reasons: [`${loading.id} is loading the model`] };
  const spawn = known.spawns.find((s) => here.has(s.node) && couldServe(demand, s.demand));
  if (spawn) return { kind: "await-spawn", spawn: spawn.id, reasons: [`a worker is being started on ${spawn.node}`] };
  return spawnOrWait({ demand, nodes, matching, workers: known.workers });
}

/** Without a free slot: another machine if the demand leaves the choice, else the queue (S11: never a second worker). */
function spawnOrWait(
  found: { demand: Demand; nodes: readonly NodeView[]; matching: WorkerView[]; workers: readonly WorkerView[] },
): Placement {
  const { demand, nodes, matching, workers } = found;
  const taken = new Set(matching.map((w) => w.node));
  const others = nodes.filter((n) => !taken.has(n.name) && (taken.size === 0 || n.hive === "up"));
  if (others.length > 0) {
    const node = others.reduce((a, b) => rank(demand, a, workers) <= rank(demand, b, workers) ? a : b);
    const reasons = workers.filter((w) => w.node === node.name).map((w) => `${w.id}: ${whyNot(demand, w)}`);
    return { kind: "spawn", node: node.name, reasons: [`no worker on ${node.name} serves the demand`, ...reasons] };
  }
  const slotsTotal = matching.reduce((sum, w) => sum + w.slotsTotal, 0);
  return {
    kind: "await-slot",
    workers: matching.map((w) => w.id),
    slotsTotal,
    reasons: matching.map((w) => `${w.id}: all ${w.slotsTotal} slots are busy`),
  };
}

const isReady = (w: WorkerView) => w.state === "idle" || w.state === "busy";

/** Fewer held slots first, then by id so that equal situations give equal answers. */
const better = (a: WorkerView, b: WorkerView) => a.slotsHeld !== b.slotsHeld ? a.slotsHeld < b.slotsHeld : a.id <= b.id;

/** Returns why this worker cannot serve the demand, or undefined when it can. */
export function whyNot(demand: Demand, worker: WorkerView): string | undefined {
  if (worker.model !== demand.model) return "it holds another model";
  if (demand.node !== undefined && worker.node !== demand.node) return `it is on ${worker.node}`;
  if (differs(demand.backend, worker.backend)) return `its backend is ${worker.backend}`;
  if (differs(demand.device, worker.device)) return `its device is ${worker.device}`;
  const ctx = Math.max(worker.ctx ?? 0, worker.ctxAsked ?? 0);
  // While it loads nobody knows what its context will be; it is looked at again when it has loaded.
  if (demand.ctx !== undefined && ctx < demand.ctx && worker.state !== "loading") return `its context is ${ctx} tokens`;
  if (demand.keepS !== undefined && worker.keepS !== demand.keepS) return "its idle time-out is another";
  if (worker.suspect) return "it broke a stream a moment ago";
  if (worker.state === "draining" || worker.state === "unhealthy") return `it is ${worker.state}`;
  return undefined;
}

/** A worker whose hive has not shown it yet may turn out right: waiting for it is cheaper than a second one. */
const differs = <T>(wanted: T | undefined, has: T | undefined) =>
  wanted !== undefined && has !== undefined && wanted !== has;

function couldServe(demand: Demand, spawned: Demand): boolean {
  return spawned.model === demand.model && !differs(demand.backend, spawned.backend) &&
    !differs(demand.device, spawned.device) &&
    (demand.ctx === undefined || spawned.ctx === undefined || spawned.ctx >= demand.ctx) &&
    (demand.keepS === undefined || spawned.keepS === demand.keepS);
}

/** Smaller is better: known to have the backend, not failed the last time, hive up, few workers. */
function rank(demand: Demand, node: NodeView, workers: readonly WorkerView[]): number {
  const names = node.machine && backendsOf(node.machine.gpus).map((b) => b.name);
  const lacks = demand.backend !== undefined && names !== undefined && !names.includes(demand.backend);
  const hive = { up: 0, starting: 1, down: 2 }[node.hive];
  const failed = node.error !== undefined ? 100_000 : 0;
  return (lacks ? 1_000_000 : 0) + failed + hive * 10_000 + workers.filter((w) => w.node === node.name).length;
}

function refuseWithoutNode(demand: Demand, known: Known): Placement {
  const refuse = (code: ErrorCode, message: string, details: Record<string, unknown>): Placement => ({
    kind: "refuse",
    error: new RbeeError(code, { message, details }),
    reasons: [message],
  });
  const names = known.nodes.map((n) => n.name);
  if (demand.node !== undefined) {
    const message = `Cannot find node '${demand.node}' in the rbee-hive registry`;
    return refuse("NODE_NOT_FOUND", message, { node: demand.node, nodes: names });
  }
  return refuse("NO_NODE", "Cannot place the task: no node is registered and this machine is not used", { nodes: [] });
}
