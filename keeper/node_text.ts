/**
 * How nodes are told of in the lists of several commands. Pure.
 *
 * @module
 */
import type { NodeState, queenRoutes } from "../protocol/queen_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";

type NodeRow = AnswerOf<typeof queenRoutes.nodes>["nodes"][number];

/** What is said where a command looks for a queen and starts none. */
export const noQueen = "No queen is running. `rbee infer` starts one for itself; `rbee up` starts one that stays.";

/** Returns how it stands with a hive, in words. */
export function stateText(status: NodeState["status"]): string {
  return status.replace("-", " ");
}

/** Returns a number of bytes as gigabytes. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GB`;
}

/** Returns where a hive is. */
export function hiveText(node: NodeRow): string {
  if (node.ssh_host === null) return node.hive_url ?? "-";
  const port = node.hive_version === null || node.hive_port === null ? "" : `, port ${node.hive_port}`;
  return `${node.ssh_user}@${node.ssh_host}${port}`;
}

/** Returns a line for each node whose hive cannot be had: why, below the table it is a row of. */
export function troubleLines(nodes: readonly NodeRow[]): string[] {
  const inTrouble = nodes.filter((node) => troubles.has(node.hive_status) && node.last_error !== null);
  return inTrouble.map((node) => `✗ ${node.node_name}: ${node.last_error}`);
}

const troubles: ReadonlySet<NodeState["status"]> = new Set(["unreachable", "not-installed", "failed"] as const);

/** Returns a line for each node whose workers cannot be told of, because its hive is not connected. */
export function silentLines(nodes: readonly NodeState[]): string[] {
  return nodes.filter(({ status }) => status !== "connected")
    .map(({ node, status, error }) =>
      `${troubles.has(status) ? "✗" : "○"} ${node}: ${stateText(status)}${error === null ? "" : `: ${error}`}`
    );
}
