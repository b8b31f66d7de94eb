/**
 * What would become of a task on each machine, by the very functions that place it. Pure.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Plan, PlanRow } from "../protocol/plan.ts";
import type { Demand, Job, Known, NodeView, Placement, WorkerView } from "./known.ts";
import { matchingWorkers, nodesFor, place } from "./placement.ts";
import { type Fit, fitOn, isRefusal, Question, type Refusal } from "./placement_filters.ts";
import { expectedOfFit, expectedWait, reasonsOf } from "./placement_new.ts";
import { type Expected, expectedOf } from "./placement_score.ts";
import { mbDown, mbUp, seconds, slotsBusy } from "./placement_text.ts";
import { couldServe, hasFreeSlot } from "./placement_workers.ts";

/** Rows, the best first, and the node that would be taken; the error when there are no rows. */
export interface Planned {
  readonly rows: PlanRow[];
  readonly chosen: string | null;
  readonly error?: RbeeError;
}

/** Returns what would become of a task. `modelError`: why nobody knows what the model is. */
export function planFor(
  demand: Demand,
  known: Known,
  { job, modelError }: { job: Job; modelError?: RbeeError },
): Planned {
  const question = new Question(demand, job, known);
  const nodes = nodesFor(demand, known);
  // What is no hub's model may lie on another machine than the one that was asked.
  const isUnknown = question.facts === undefined && (question.isFetched || (nodes.length === 1 && !!modelError));
  const rows = nodes.map((node) => rowOf(node, question, { isUnknown, modelError }));
  const placement = place(demand, known, job);
  const node = nodeOf(placement, known);
  const chosen = rows.find((row) => row.node === node && row.would !== "refuse")?.node ?? null;
  rows.sort((a, b) =>
    Number(b.node === chosen) - Number(a.node === chosen) || (b.score ?? -Infinity) - (a.score ?? -Infinity)
  );
  return { rows, chosen, error: placement.kind === "refuse" ? placement.error : undefined };
}

/** Returns a model's error as a plan tells it. */
export function toldOf({ code, message, hint, details }: RbeeError): NonNullable<Plan["model_error"]> {
  return { code, message, hint, details };
}

/** Returns the machine that a placement is about. */
function nodeOf(placement: Placement, known: Known): string | undefined {
  const nodeOfWorker = (id: string) => known.nodes.find((n) => known.workersOn(n.name).some((w) => w.id === id))?.name;
  switch (placement.kind) {
    case "reuse":
    case "await-loading":
      return nodeOfWorker(placement.worker);
    case "await-slot":
      return nodeOfWorker(placement.workers[0] ?? "");
    case "await-spawn":
      return known.spawns.find((spawn) => spawn.id === placement.spawn)?.node;
    case "await-fetch":
      return known.fetches.find((fetch) => fetch.id === placement.fetch)?.node;
    case "refuse":
      return undefined;
    default:
      return placement.node;
  }
}

const nothing: Omit<PlanRow, "node" | "would" | "reasons"> = {
  code: null,
  backend: null,
  device: null,
  gpu_layers: null,
  layers: null,
  worker: null,
  evicts: [],
  required_mb: null,
  available_mb: null,
  model_on_disk: false,
  download_bytes: null,
  prefill_tokens_per_second: null,
  decode_tokens_per_second: null,
  expected_first_token_s: null,
  score: null,
};

function rowOf(
  node: NodeView,
  question: Question,
  { isUnknown, modelError }: { isUnknown: boolean; modelError?: RbeeError },
): PlanRow {
  const { demand, known } = question;
  const onDisk = !isUnknown && (!question.isFetched || (node.models?.has(demand.model) ?? false));
  const row = { ...nothing, node: node.name, model_on_disk: onDisk, layers: question.facts?.shape?.layers ?? null };
  const worker = bestWorker(matchingWorkers({ ...demand, node: node.name }, known));
  if (worker) return { ...row, ...workerRow(worker, question) };
  if (node.hive !== "up") {
    const reason = node.error ?? "its hive does not run";
    return { ...row, would: "refuse", code: node.code ?? "NODE_UNREACHABLE", reasons: [reason] };
  }
  if (known.spawns.some((s) => s.node === node.name && couldServe(demand, s.demand))) {
    return { ...row, would: "wait", reasons: ["a worker is being started there"], score: 0 };
  }
  if (isUnknown) {
    const reasons = [modelError?.message ?? "nobody knows yet what the model is"];
    return { ...row, would: "refuse", code: modelError?.code ?? "MODEL_NOT_FOUND", reasons };
  }
  const fit = fitOn(node, question);
  return { ...row, ...(isRefusal(fit) ? refusalRow(fit) : fitRow(fit, question)) };
}

/** One with a free slot, else one that loads, else one that is busy. */
function bestWorker(workers: readonly WorkerView[]): WorkerView | undefined {
  return workers.find(hasFreeSlot) ?? workers.find((w) => w.state === "loading") ?? workers[0];
}

type Part = Partial<PlanRow> & Pick<PlanRow, "would" | "reasons">;

function workerRow(worker: WorkerView, { job, known }: Question): Part {
  const isFree = hasFreeSlot(worker);
  const isLoading = worker.state === "loading";
  const waitMs = isFree || isLoading ? 0 : expectedWait({ job, known }, [worker]).ms;
  const expected = expectedOf(worker, job, known, waitMs);
  const wait = `${worker.id}: ${slotsBusy(worker.slotsTotal)}, free again in about ${seconds(waitMs / 1_000)}`;
  return {
    would: isFree ? "reuse" : "wait",
    worker: worker.id,
    backend: worker.backend ?? null,
    device: worker.device ?? null,
    reasons: [
      isFree
        ? `${worker.id} holds the model and has a free slot`
        : isLoading
        ? `${worker.id} is loading the model`
        : wait,
    ],
    ...speedPart(expected),
  };
}

function speedPart({ speed, firstToken, score }: Expected): Partial<PlanRow> {
  return {
    prefill_tokens_per_second: speed.isMeasured ? rounded(speed.prefill) : null,
    decode_tokens_per_second: speed.isMeasured ? rounded(speed.decode) : null,
    expected_first_token_s: rounded(firstToken),
    score: rounded(score),
  };
}

const rounded = (value: number) => Math.round(value * 1_000) / 1_000;

function refusalRow({ code, reason, required, available, blockers }: Refusal): Part {
  const numbers = code === "VRAM_EXHAUSTED" ? { required_mb: required, available_mb: available } : {};
  // Where only busy workers are in the way the task would wait for them.
  return { would: blockers ? "wait" : "refuse", code, reasons: [reason], ...numbers };
}

function fitRow(fit: Fit, question: Question): Part {
  const { need, takes, backend, device, availableBytes, evicts, downloadBytes } = fit;
  const room = evicts.map((id) => `${id} is idle and would end to make room`);
  const download = fit.onDisk ? [] : [`${mbUp(downloadBytes)} MB would be fetched first`];
  const required = takes === undefined ? undefined : takes.device > 0 ? takes.device : takes.host;
  const isKnown = availableBytes !== undefined && Number.isFinite(availableBytes);
  return {
    would: "spawn",
    backend,
    device,
    gpu_layers: need?.gpuLayers ?? null,
    evicts: [...evicts],
    required_mb: required === undefined ? null : mbUp(required),
    available_mb: isKnown ? mbDown(availableBytes) : null,
    download_bytes: downloadBytes,
    reasons: [...reasonsOf(fit, question, 1), ...room, ...download],
    ...speedPart(expectedOfFit(fit, question)),
  };
}
