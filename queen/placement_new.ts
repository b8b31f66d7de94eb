/**
 * Where a worker is to be started for a task, and what must happen before: the model looked up, the hive started, the
 * file fetched, idle workers ended. Pure.
 *
 * @module
 */
import { localNodeName } from "../protocol/node.ts";
import type { Job, NodeView, Placement, WorkerView } from "./known.ts";
import { type Fit, fitOn, isRefusal, mayRunOn, type Question, type Refusal } from "./placement_filters.ts";
import { errorOf, refuseAll } from "./placement_refusal.ts";
import { bestOf, type Expected, expectedOf, expectedOfNew } from "./placement_score.ts";
import { mbDown, mbUp, rate, seconds, slotsBusy } from "./placement_text.ts";
import { isReady, whyNot } from "./placement_workers.ts";

/** Returns what becomes of a task that no worker serves. */
export function placeNew(question: Question, nodes: readonly NodeView[]): Placement {
  const { demand, known } = question;
  const fetch = known.fetches.find((f) => f.model === demand.model && mayRunOn(known.node(f.node), question));
  if (fetch) return { kind: "await-fetch", fetch: fetch.id, reasons: [`the model is on its way to ${fetch.node}`] };
  if (question.isFetched && !question.facts) return lookUp(question, nodes);
  const { fits, refusals } = fitsOn(nodes, question);
  const best = bestOf(fits, (fit) => expectedOfFit(fit, question).score, known.tie);
  if (best) return startOn(best, question, fits.filter(isInReach).length);
  return waitForRoom(refusals) ?? askTheHive(question, nodes, refusals) ?? refuseAll(demand, refusals, known);
}

/**
 * Returns what becomes of a task whose workers are all busy: the queue, or without `--node` another machine when that is
 * expected to answer sooner.
 */
export function elsewhereOrQueue(
  question: Question,
  nodes: readonly NodeView[],
  matching: readonly WorkerView[],
): Placement {
  const { demand, known, job } = question;
  const wait = expectedWait(question, matching);
  const slotsTotal = matching.reduce((sum, w) => sum + w.slotsTotal, 0);
  const workers = matching.map((w) => w.id);
  const queue = { kind: "await-slot" as const, workers, slotsTotal, expectedMs: wait.ms, restMs: wait.restMs };
  const reasons = matching.map((w) => `${w.id}: ${slotsBusy(w.slotsTotal)}`);
  if (demand.node !== undefined || (question.isFetched && !question.facts)) return { ...queue, reasons };
  const coming = fetchUnderWay(question, wait, slotsTotal);
  if (coming) return coming.isSooner ? coming.placement : { ...queue, coldMs: coming.coldMs, reasons };
  const taken = new Set(matching.map((w) => w.node));
  const { fits } = fitsOn(nodes.filter((n) => !taken.has(n.name) && n.hive === "up"), question);
  const best = bestOf(fits, (fit) => expectedOfFit(fit, question).score, known.tie);
  if (!best) return { ...queue, reasons };
  const cold = expectedOfFit(best, question).answer;
  const why = `a new worker on ${best.node.name} is expected to answer in ${seconds(cold)}`;
  const waitMs = waitInQueue(wait, job, slotsTotal);
  const coldMs = 1_000 * cold - wait.restMs;
  if (waitMs <= coldMs) {
    const than = `${why}, waiting in ${seconds((waitMs + wait.restMs) / 1_000)}`;
    return { ...queue, coldMs, reasons: [...reasons, than] };
  }
  const start = startOn(best, question, fits.filter(isInReach).length);
  return { ...start, reasons: [...reasons, why, ...start.reasons] };
}

/** Until a slot is free for a task with so many before it. */
const waitInQueue = (wait: SlotTimes, job: Job, slotsTotal: number): number =>
  wait.ms + Math.floor((job.ahead ?? 0) / Math.max(1, slotsTotal)) * wait.restMs;

/**
 * The model may be on its way to another machine already, because of a queue like this one. That is gone on with as long
 * as it is worth it: its room is spoken for, so asking anew whether it fits would end it, and begin it again.
 */
function fetchUnderWay(
  question: Question,
  wait: SlotTimes,
  slotsTotal: number,
): { isSooner: boolean; coldMs: number; placement: Placement } | undefined {
  const { demand, known, job, facts } = question;
  const fetch = known.fetches.find((f) => f.model === demand.model && mayRunOn(known.node(f.node), question));
  if (!fetch) return undefined;
  const { backend = "cpu" as const, deviceIndex: device = 0 } = fetch.takes ?? {};
  const neighbours = known.workersOn(fetch.node).length;
  const where = { node: known.node(fetch.node)!, backend, device, neighbours, evicts: [], onDisk: false };
  const cold = expectedOfNew({ ...where, downloadBytes: fetch.bytesLeft }, job, known, facts?.size_bytes).answer;
  const coldMs = 1_000 * cold - wait.restMs;
  const reasons = [
    `the model is on its way to ${fetch.node}: a worker there is expected to answer in ${seconds(cold)}`,
  ];
  const placement = { kind: "await-fetch" as const, fetch: fetch.id, reasons };
  return { isSooner: waitInQueue(wait, job, slotsTotal) > coldMs, coldMs, placement };
}

/** In milliseconds: until a slot is free, and how long a task then takes. */
interface SlotTimes {
  readonly ms: number;
  readonly restMs: number;
}

/** Returns the time until one of these workers has a free slot, and how long a task then takes there; in milliseconds. */
export function expectedWait(
  { job, known }: Pick<Question, "job" | "known">,
  workers: readonly WorkerView[],
): SlotTimes {
  let best = { ms: Infinity, restMs: 0 };
  for (const worker of workers) {
    const restMs = 1_000 * expectedOf(worker, job, known).answer;
    const ms = worker.freeAt === undefined ? restMs : Math.max(0, worker.freeAt - known.now);
    if (ms + restMs < best.ms + best.restMs) best = { ms, restMs };
  }
  return best;
}

/** Returns the machines that could take it, and why the others cannot. */
export function fitsOn(nodes: readonly NodeView[], question: Question): { fits: Fit[]; refusals: Refusal[] } {
  const fits: Fit[] = [];
  const refusals: Refusal[] = [];
  for (const node of nodes) {
    const one = fitOn(node, question);
    if (isRefusal(one)) refusals.push(one);
    else fits.push(one);
  }
  return { fits, refusals };
}

/** Returns what is expected of a new worker there. */
export function expectedOfFit(fit: Fit, { job, known, facts }: Question): Expected {
  return expectedOfNew(fit, job, known, facts?.size_bytes);
}

/** One that could not be had the last time is no choice. */
const isInReach = ({ node }: Fit) => node.hive === "up" || node.error === undefined;

/** What a reference means is asked of one hive: the demanded one, else this machine's, else any that is up. */
function lookUp(question: Question, nodes: readonly NodeView[]): Placement {
  const { demand, job, known } = question;
  const open = nodes.filter((n) => !job.avoid?.has(n.name));
  if (open.length === 0) return refuseAll(demand, fitsOn(nodes, question).refusals, known);
  const node = open.reduce((a, b) => lookUpRank(b) < lookUpRank(a) ? b : a);
  const reasons = [`what the model is must be asked first, on ${node.name}`];
  return { kind: node.hive === "up" ? "look-up" : "start-hive", node: node.name, reasons };
}

/** Smaller is better. */
function lookUpRank(node: NodeView): number {
  const hive = { up: 0, starting: 2, down: 4 }[node.hive];
  return hive + (node.error !== undefined && node.hive !== "up" ? 10 : 0) + (node.name === localNodeName ? 0 : 1);
}

/** The first step towards a worker there. */
function startOn(fit: Fit, question: Question, of: number): Placement {
  const { demand, known, facts } = question;
  const node = fit.node.name;
  const reasons = reasonsOf(fit, question, of);
  if (fit.node.hive !== "up") {
    return { kind: "start-hive", node, reasons: [...reasons, `the hive on ${node} must be started first`] };
  }
  if (!fit.onDisk) {
    const from = known.nodes.find((n) => n.name !== node && n.hive === "up" && n.models?.has(demand.model))?.name;
    const size = `${mbUp(fit.downloadBytes)} MB`;
    const told = `the model is fetched there first: ${size} from ${from ?? "the hub"}`;
    return { kind: "fetch", node, from, takes: fit.takes, bytes: facts?.size_bytes ?? 0, reasons: [...reasons, told] };
  }
  // A hive would rather compute on its CPU than end anybody; where workers end for a GPU, that is the one to use.
  const named = fit.evicts.length > 0 && fit.backend !== "cpu" ? { backend: fit.backend, device: fit.device } : {};
  const room = fit.evicts.map((id) => `${id} is idle and ends to make room`);
  return { kind: "spawn", node, ...named, takes: fit.takes, evicts: fit.evicts, reasons: [...reasons, ...room] };
}

/** Returns why a worker is started there, in numbers. */
export function reasonsOf(fit: Fit, question: Question, of: number): string[] {
  const { known, demand } = question;
  const node = fit.node.name;
  const reasons = known.workersOn(node).map((w) => `${w.id}: ${whyNot(demand, w) ?? stateText(w)}`);
  if (fit.takes && fit.availableBytes !== undefined && Number.isFinite(fit.availableBytes)) {
    const bytes = fit.takes.device > 0 ? fit.takes.device : fit.takes.host;
    reasons.push(`${fit.backend}: needs ${mbUp(bytes)} MB, ${mbDown(fit.availableBytes)} MB are free`);
  }
  if (of > 1) {
    const { answer, speed } = expectedOfFit(fit, question);
    const how = speed.isMeasured ? "measured" : "as usual";
    reasons.push(`the best of ${of}: answer in about ${seconds(answer)} at ${rate(speed.decode)} (${how})`);
  }
  return reasons.length > 0 ? reasons : ["no worker holds the model"];
}

const stateText = (worker: WorkerView) => isReady(worker) ? "it is busy" : `it is ${worker.state}`;

/** Where only busy workers are in the way, their end is waited for, as long as a slot would be. */
function waitForRoom(refusals: readonly Refusal[]): Placement | undefined {
  const refusal = refusals.find((r) => r.blockers !== undefined);
  if (!refusal) return undefined;
  const reasons = refusals.map((r) => `${r.node}: ${r.reason}`);
  const workers = refusal.blockers!;
  return { kind: "await-slot", workers, slotsTotal: Math.max(1, workers.length), error: errorOf(refusal), reasons };
}

/** The only machine in question that has the file is asked all the same: it reads its memory afresh, and knows better. */
function askTheHive(
  { demand }: Question,
  nodes: readonly NodeView[],
  refusals: readonly Refusal[],
): Placement | undefined {
  const [node] = nodes;
  const [{ code, reason, error, needsFetch }] = refusals;
  if (nodes.length !== 1 || node.hive !== "up" || code !== "VRAM_EXHAUSTED" || error || needsFetch) return undefined;
  const reasons = [`${node.name}: ${reason}, as last seen`, "its hive is asked: it reads its memory afresh"];
  return { kind: "spawn", node: node.name, backend: demand.backend, device: demand.device, evicts: [], reasons };
}
