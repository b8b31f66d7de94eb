/**
 * Where a task goes: a pure function of the task's demand and of what is known about nodes, workers and what is on its
 * way. The only place in rbee that chooses a machine or a worker; every answer says why.
 *
 * @module
 */
import type { Demand, Job, Known, NodeView, Placement, WorkerView } from "./known.ts";
import { Question } from "./placement_filters.ts";
import { elsewhereOrQueue, placeNew } from "./placement_new.ts";
import { refuseWithoutNode } from "./placement_refusal.ts";
import { rate, seconds } from "./placement_text.ts";
import { bestOf, expectedOf, usualJob } from "./placement_score.ts";
import { couldServe, hasFreeSlot, whyNot } from "./placement_workers.ts";

export { whyNot } from "./placement_workers.ts";

/** Returns where a task with this demand goes now. Pure; never throws. */
export function place(demand: Demand, known: Known, job: Job = usualJob): Placement {
  return placeOnWorkers(demand, known, job) ?? placeOnNodes(demand, known, job);
}

/** Returns the worker for a task that has one, or that is about to have one; quick. Undefined when there is none. */
export function placeOnWorkers(demand: Demand, known: Known, job: Job): Placement | undefined {
  const free = workersFor(demand, known).filter((w) => hasFreeSlot(w) && serves(demand, w, known));
  if (free.length === 0) return loadingOrSpawned(demand, matchingWorkers(demand, known), known);
  const worker = free.length === 1 ? free[0] : bestOf(free, (w) => expectedOf(w, job, known).score, known.tie)!;
  return { kind: "reuse", worker: worker.id, reasons: [reuseReason(worker, free.length, { job, known })] };
}

/** Returns where a task goes that no worker is free for: looks at every machine. */
export function placeOnNodes(demand: Demand, known: Known, job: Job): Placement {
  const nodes = nodesFor(demand, known);
  if (nodes.length === 0) return refuseWithoutNode(demand, known);
  const question = new Question(demand, job, known);
  const matching = matchingWorkers(demand, known);
  // A new worker where none serves the demand, else the queue (S11: never a second one there).
  return matching.length > 0 ? elsewhereOrQueue(question, nodes, matching) : placeNew(question, nodes);
}

/** Returns the machines that the demand leaves open. */
export function nodesFor(demand: Demand, known: Known): readonly NodeView[] {
  if (demand.node === undefined) return known.nodes;
  const node = known.node(demand.node);
  return node ? [node] : [];
}

/** Returns the workers that serve the demand, busy or not. */
export function matchingWorkers(demand: Demand, known: Known): WorkerView[] {
  return workersFor(demand, known).filter((w) => serves(demand, w, known));
}

const workersFor = ({ model, node }: Demand, known: Known) =>
  node === undefined ? known.workersOf(model) : known.workersOn(node);

const serves = (demand: Demand, worker: WorkerView, known: Known) =>
  whyNot(demand, worker) === undefined && known.node(worker.node) !== undefined;

function reuseReason(worker: WorkerView, count: number, { job, known }: { job: Job; known: Known }): string {
  const { speed, answer } = expectedOf(worker, job, known);
  const cached = job.blocks?.length ? known.cachedBlocks(worker.id, job.blocks) : 0;
  const seen = cached > 0 ? `, has seen the prompt's beginning` : "";
  const of = count > 1 ? `, the best of ${count} (answer in about ${seconds(answer)} at ${rate(speed.decode)})` : "";
  return `${worker.id} on ${worker.node} holds the model and has a free slot${seen}${of}`;
}

/** A worker that loads, one that is being started, or the model's bytes: whoever comes next waits for the same. */
function loadingOrSpawned(demand: Demand, matching: readonly WorkerView[], known: Known): Placement | undefined {
  const loading = matching.find((w) => w.state === "loading");
  if (loading) return { kind: "await-loading", worker: loading.id, reasons: [`${loading.id} is loading the model`] };
  const isHere = (node: string) => demand.node === undefined || demand.node === node;
  const spawn = known.spawns.find((s) => isHere(s.node) && couldServe(demand, s.demand));
  if (spawn) return { kind: "await-spawn", spawn: spawn.id, reasons: [`a worker is being started on ${spawn.node}`] };
}
