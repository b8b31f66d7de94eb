/**
 * What is told to whoever cannot be served: the reason of every machine, and what would work. Pure.
 *
 * @module
 */
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import type { Demand, Known, Placement } from "./known.ts";
import { onNode } from "./node_error.ts";
import type { Refusal } from "./placement_filters.ts";

type Refused = Extract<Placement, { kind: "refuse" }>;

/** Returns the refusal of a task for which no machine is known at all. */
export function refuseWithoutNode(demand: Demand, known: Known): Refused {
  const names = known.nodes.map((n) => n.name);
  if (demand.node !== undefined) {
    const message = `Cannot find node '${demand.node}' in the rbee-hive registry`;
    return refused(new RbeeError("NODE_NOT_FOUND", { message, details: { node: demand.node, nodes: names } }));
  }
  const message = "Cannot place the task: no node is registered and this machine is not used";
  return refused(new RbeeError("NO_NODE", { message, details: { nodes: [] } }));
}

/** Returns the refusal of a task that no machine can take. One machine's reason speaks for itself. */
export function refuseAll(demand: Demand, refusals: readonly Refusal[], known: Known): Refused {
  const isOne = demand.node !== undefined || known.nodes.length === 1;
  const reasons = refusals.map((r) => `${r.node}: ${r.reason}`);
  return { ...refused(isOne ? errorOf(refusals[0]) : noNode(refusals, known)), reasons };
}

function refused(error: RbeeError): Refused {
  return { kind: "refuse", error, reasons: [error.message] };
}

/** Returns one machine's refusal as an error of its own, in the words in which its hive would say it. */
export function errorOf({ error, code, node, reason, required, available, details: more }: Refusal): RbeeError {
  if (error) return error;
  const details = { ...(required !== undefined && { required, available }), ...more };
  const told = new RbeeError(code, { message: messageOf(), details, hint: hintOf() });
  return onNode(told, node);

  function messageOf(): string {
    if (code === "VRAM_EXHAUSTED") return `Cannot load the model: need ${required} MB, have ${available} MB`;
    if (code === "INSUFFICIENT_DISK") {
      return `Cannot store the model: need ${required} MB, have ${available} MB of disk`;
    }
    if (code === "BACKEND_UNAVAILABLE") return `Cannot use the backend ${more?.backend}: there is only ${list()}`;
    return `Cannot use ${more?.backend} device ${more?.device}: there is only ${list()}`;
  }

  function hintOf(): string | undefined {
    if (code !== "BACKEND_UNAVAILABLE") return undefined;
    return `Use --backend ${list(" or --backend ")}, or leave --backend out`;
  }

  function list(between = ", "): string {
    return (more?.available as readonly unknown[] | undefined)?.join(between) ?? reason;
  }
}

const shownMax = 10;

function noNode(refusals: readonly Refusal[], known: Known): RbeeError {
  const shown = refusals.slice(0, shownMax).map((r) => `${r.node}: ${r.reason}`).join("; ");
  const more = refusals.length > shownMax ? `; and ${refusals.length - shownMax} more` : "";
  return new RbeeError("NO_NODE", {
    message: `Cannot place the task: no node can take it (${shown}${more})`,
    details: { nodes: refusals.map(({ node, code, reason }) => ({ node, code, reason })) },
    hint: hintFor(refusals, known),
  });
}

/** What would work, by what is in the way. */
function hintFor(refusals: readonly Refusal[], known: Known): string {
  const has = (code: ErrorCode) => refusals.some((r) => r.code === code);
  const hints: string[] = [];
  if (has("VRAM_EXHAUSTED")) hints.push("use a smaller quantized model (Q4 instead of Q8) or a smaller --ctx");
  if (has("INSUFFICIENT_DISK")) hints.push("free space with `rbee models rm`");
  if (has("BACKEND_UNAVAILABLE") || has("DEVICE_NOT_AVAILABLE")) hints.push("leave --backend and --device out");
  const off = known.nodes.filter((n) => n.hive !== "up" && n.error !== undefined).map((n) => n.name);
  if (off.length > 0) hints.push(`switch on ${off.slice(0, shownMax).join(", ")}`);
  if (hints.length === 0) hints.push("see each node's reason, and `rbee status`");
  const text = hints.join(", or ");
  return text[0].toUpperCase() + text.slice(1);
}
