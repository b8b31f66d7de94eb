/**
 * `rbee hive`: a node's hive, started and stopped from here.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { type HiveChange, hiveChange, queenRoutes } from "../protocol/queen_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import { call, callStream } from "../runtime/call.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { gigabytes, hiveText, noQueen, stateText, troubleLines } from "./node_text.ts";
import { withQueen } from "./queen_process.ts";
import { findQueen, type Queen, withAddress } from "./queen_probe.ts";
import { tableLines } from "./table.ts";
import { readTask } from "./task_stream.ts";

/** The flag that names the machine. */
export interface HiveOptions {
  readonly node: string;
}

/** Carries out `rbee hive start`. Returns 0 when the hive answers, also when it did before. Needs a queen that stays. */
export async function startHive(keeper: Keeper, options: HiveOptions): Promise<number> {
  const queen = await stayingQueen(keeper, options.node);
  return await tell(keeper, await change(keeper, queen, { route: queenRoutes.startHive, ...options }));
}

/** Carries out `rbee hive restart`. Returns 0 when the new hive answers. Needs a queen that stays. */
export async function restartHive(keeper: Keeper, options: HiveOptions): Promise<number> {
  const queen = await stayingQueen(keeper, options.node);
  return await tell(keeper, await change(keeper, queen, { route: queenRoutes.restartHive, ...options }));
}

/** Carries out `rbee hive stop`. Returns 0 when no hive runs there any more, whoever had started it. */
export async function stopHive(keeper: Keeper, options: HiveOptions): Promise<number> {
  return await withQueen(keeper, async ({ queen }) => {
    return await tell(keeper, await change(keeper, queen, { route: queenRoutes.stopHive, ...options }));
  }, { idle: true });
}

/** A hive ends with its queen: one that ends with this command would take it along. */
async function stayingQueen(keeper: Keeper, node: string): Promise<Queen> {
  const queen = await findQueen(keeper);
  if (queen) return queen;
  throw new RbeeError("PERSISTENT_QUEEN_NEEDED", {
    message: `Cannot keep a hive on ${node}: no queen is running that it could belong to`,
  });
}

interface Change extends HiveOptions {
  readonly route: typeof queenRoutes.startHive | typeof queenRoutes.stopHive | typeof queenRoutes.restartHive;
}

async function change(keeper: Keeper, queen: Queen, { route, node }: Change): Promise<HiveChange> {
  const { render } = keeper;
  keeper.aboutNode(node);
  const cut = new AbortController();
  const signal = AbortSignal.any([keeper.signal, cut.signal]);
  try {
    const stream = await callStream(queen.peer, route, { body: { node }, signal });
    for await (const event of readTask(stream.body, { cut: (reason) => cut.abort(reason) })) {
      if (event.type === "narration") render.note(event.narration.actor, event.narration.human);
      else if (event.type === "result") return hiveChange.parse(event.value);
    }
  } catch (error) {
    throw withAddress(error, queen.url);
  }
  throw new RbeeError("INVALID_RESPONSE");
}

async function tell(keeper: Keeper, change: HiveChange): Promise<number> {
  const { render } = keeper;
  if (render.json) await render.value(change);
  else await render.line(sentence(change));
  return exitCodes.success;
}

/** Returns what came of a change, for a person. */
export function sentence({ node, result, ...hive }: HiveChange): string {
  const port = hive.hive_port === undefined ? "" : `, port ${hive.hive_port}`;
  const pid = hive.hive_pid === undefined ? "" : ` (pid ${hive.hive_pid}${port})`;
  switch (result) {
    case "started":
      return `✓ The hive on ${node} is up${pid}`;
    case "restarted":
      return `✓ The hive on ${node} is up again${pid}`;
    case "running":
      return `The hive on ${node} was up already${pid}`;
    case "found":
      return `✓ The hive on ${node} was running and is in use now${pid}`;
    case "stopped":
      return `✓ The hive on ${node} and its workers have ended`;
    case "killed":
      return `✓ The hive on ${node} did not end by itself and was killed; its workers ended with it`;
    case "none":
      return `No hive is running on ${node}`;
  }
}

type NodeRow = AnswerOf<typeof queenRoutes.nodes>["nodes"][number];

/** Carries out `rbee hive status`. Returns 0; starts nothing. Throws `NODE_NOT_FOUND`. */
export async function hiveStatus(keeper: Keeper, options: { node?: string }): Promise<number> {
  const { render } = keeper;
  keeper.aboutNode(options.node);
  const queen = await findQueen(keeper);
  if (!queen) {
    if (render.json) await render.value({ nodes: [] });
    else await render.line(noQueen);
    return exitCodes.success;
  }
  const { nodes: all } = await call(queen.peer, queenRoutes.nodes, { signal: keeper.signal });
  const nodes = all.filter(({ node_name }) => options.node === undefined || node_name === options.node);
  if (options.node !== undefined && nodes.length === 0) {
    const message = `Cannot find node '${options.node}' in the rbee-hive registry`;
    const names = all.map((node) => node.node_name);
    throw new RbeeError("NODE_NOT_FOUND", { message, details: { node: options.node, nodes: names } });
  }
  if (render.json) await render.value({ nodes: nodes.map(jsonOf) });
  else await render.line(nodes.length > 0 ? statusLines(nodes).join("\n") : "No nodes.");
  return exitCodes.success;
}

function jsonOf(node: NodeRow) {
  return {
    ...{ node: node.node_name, status: node.hive_status, error: node.last_error },
    ...{ hive_version: node.hive_version, hive_port: node.hive_port, hive_pid: node.hive_pid, leased: node.leased },
    ...{ workers: node.workers, memory_available_bytes: node.machine?.memory_available_bytes ?? null },
  };
}

/** Returns hives as a table. */
export function statusLines(nodes: readonly NodeRow[]): string[] {
  const rows = tableLines(
    ["NODE", "STATUS", "VERSION", "PID", "STARTED BY", "WORKERS", "MEMORY FREE", "HIVE"],
    nodes.map((node) => [
      node.node_name,
      stateText(node.hive_status),
      node.hive_version ?? "-",
      String(node.hive_pid ?? "-"),
      node.leased === null ? "-" : node.leased ? "its queen" : "an operator",
      String(node.workers),
      node.hive_version !== null && node.machine ? gigabytes(node.machine.memory_available_bytes) : "-",
      hiveText(node),
    ]),
  );
  return [...rows, ...troubleLines(nodes)];
}
