/**
 * Which machines have which models, as their hives tell just now.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { localNodeName } from "../protocol/node.ts";
import { type ModelRecord, parseModelRef, refOfRecord } from "../protocol/model.ts";
import type { NodeState } from "../protocol/queen_routes.ts";
import { call } from "../runtime/call.ts";
import { within } from "../runtime/process.ts";
import { hiveUp, type HiveUpParts } from "./hive_up.ts";
import { onNode } from "./node_error.ts";
import { nodeStates } from "./node_list.ts";
import type { Roster } from "./roster.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Tasks } from "./tasks.ts";

/** Whom lists are made from. */
export interface ModelListParts extends HiveUpParts {
  readonly scheduler: Pick<Scheduler, "nodes">;
  readonly hives: Roster;
  readonly tasks: Pick<Tasks, "demandOf">;
}

/** A model of a machine. */
export type ListedModel = ModelRecord & { node: string; ref: string };

/** Models, and how it stands with the machines that were asked. */
export interface ModelList {
  readonly models: ListedModel[];
  readonly nodes: NodeState[];
}

/** Throws `NODE_NOT_FOUND`. */
export function requireNode(node: string, { hives }: ModelListParts): void {
  if (hives.get(node)) return;
  const message = `Cannot find node '${node}' in the rbee-hive registry`;
  throw new RbeeError("NODE_NOT_FOUND", { message, details: { node, nodes: hives.names() } });
}

/**
 * Returns the models of all machines whose hives are up or coming up, or of one machine, whose hive is started. A
 * machine that does not answer is told in `nodes`. Throws why that one machine's hive cannot be had.
 */
export async function listModels(node: string | undefined, parts: ModelListParts): Promise<ModelList> {
  if (node === undefined) await untilStarted(parts);
  else if (!parts.hives.get(node)?.peer) await hiveUp(node, parts);
  const states = nodeStates(parts.scheduler).filter((one) => node === undefined || one.node === node);
  const lists = await Promise.all(states.map((state) => listOf(state, node !== undefined, parts)));
  return { models: lists.flatMap(({ models }) => models), nodes: lists.map(({ state }) => state) };
}

/** Those that are just being started belong to the answer as well; what keeps them from it stands in their state. */
async function untilStarted(parts: ModelListParts): Promise<void> {
  const starting = nodeStates(parts.scheduler).filter(({ status }) => status === "starting");
  await within(Promise.allSettled(starting.map(({ node }) => hiveUp(node, parts))), limits.hiveBackMs);
}

async function listOf(
  state: NodeState,
  isOnly: boolean,
  { hives }: ModelListParts,
): Promise<{ models: ListedModel[]; state: NodeState }> {
  const { node } = state;
  const peer = hives.get(node)?.peer;
  if (!peer) return { models: [], state };
  try {
    const { models } = await call(peer, hiveRoutes.models, { deadlineMs: limits.modelListMs, attempts: 1 });
    return { models: models.map((record) => ({ ...record, node, ref: refOfRecord(record) })), state };
  } catch (thrown) {
    const error = toRbeeError(thrown);
    if (isOnly) throw onNode(error, node);
    return { models: [], state: { node, status: "failed", error: error.message } };
  }
}

/**
 * Returns the models that a text can mean: the id or the very reference of one, else those of the same repository, among
 * which a hive knows which one it is.
 */
export function meantBy<M extends ModelRecord>(text: string, ref: string | undefined, models: readonly M[]): M[] {
  const exact = models.filter((one) => one.id === text || refOfRecord(one) === ref);
  if (exact.length > 0 || ref === undefined) return exact;
  const wanted = parseModelRef(ref);
  if (wanted.provider !== "hf") return [];
  const repository = `${wanted.org}/${wanted.repo}`;
  return models.filter((one) => one.provider === "hf" && one.reference === repository);
}

/** Where a model is, and what its hive is to be told. */
export interface Holder {
  readonly node: string;
  readonly ref: string;
}

/**
 * Returns who has a model: the machine that was named; else this one, or the only one that has it. With `mayBeInPart` one
 * that nobody has is asked for there all the same: a download that was broken off stands in no list. Throws
 * `MODEL_NOT_FOUND`, `INVALID_MODEL_REF`, `USAGE` when several have it.
 */
export async function holderOf(
  { model, node, mayBeInPart = false }: { model: string; node?: string; mayBeInPart?: boolean },
  parts: ModelListParts,
): Promise<Holder> {
  const { models } = await listModels(node, parts);
  const byId = models.some((one) => one.id === model);
  const ref = byId ? undefined : parts.tasks.demandOf({ model }).model;
  const found = meantBy(model, ref, models);
  const nodes = [...new Set(found.map((one) => one.node))];
  const holder = nodes.includes(localNodeName) ? localNodeName : nodes.length === 1 ? nodes[0] : undefined;
  if (holder !== undefined) {
    // What was asked for, also when that machine has only another one of the repository: its hive knows what is meant.
    return { node: holder, ref: ref ?? found.find((one) => one.node === holder)!.ref };
  }
  if (nodes.length > 1) throw severalHave(model, nodes);
  const asked = node ?? localNodeName;
  if (ref?.match(/^(hf|https?):/) && mayBeInPart && parts.hives.get(asked)?.peer) return { node: asked, ref };
  const where = node === undefined ? "no machine that answers has it" : `it is not on ${node}`;
  throw new RbeeError("MODEL_NOT_FOUND", {
    message: `Cannot find ${model}: ${where}`,
    details: { model_ref: model, ...(node && { node }) },
    hint: "rbee models list shows what is there",
  });
}

function severalHave(model: string, nodes: string[]): RbeeError {
  return new RbeeError("INVALID_REQUEST", {
    message: `Cannot tell which machine is meant: ${nodes.join(", ")} have ${model}`,
    details: { nodes },
    hint: `Name one: --node ${nodes[0]}`,
  });
}
