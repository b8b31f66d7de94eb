/**
 * The nodes as lists show them: what the registry keeps, and what is known of their hives just now.
 *
 * @module
 */
import { localNodeName } from "../protocol/node.ts";
import type { NodeState, queenRoutes } from "../protocol/queen_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import type { NodeRegistry } from "./nodes.ts";
import type { NodeView } from "./known.ts";
import { isReached } from "./registry_notes.ts";
import type { Roster } from "./roster.ts";
import type { Scheduler } from "./scheduler.ts";

/** Whom a list is made from. */
export interface NodeListParts {
  readonly scheduler: Scheduler;
  readonly registry: NodeRegistry;
  readonly hives: Roster;
}

type Listed = AnswerOf<typeof queenRoutes.nodes>["nodes"][number];

/** Returns how it stands with each node's hive. */
export function nodeStates(scheduler: Pick<Scheduler, "nodes">): NodeState[] {
  return scheduler.nodes().map((view) => ({ node: view.name, status: statusOf(view), error: errorOf(view) }));
}

function statusOf({ hive, error, code }: NodeView): NodeState["status"] {
  if (hive === "up") return "connected";
  // These also while it is tried again.
  if (code === "NODE_NOT_INSTALLED") return "not-installed";
  if (error !== undefined) return isReached(code) ? "failed" : "unreachable";
  return hive === "starting" ? "starting" : "not-connected";
}

const errorOf = ({ hive, error }: NodeView) => hive === "up" ? null : error ?? null;

/** Returns every node. */
export function nodeList({ scheduler, registry, hives }: NodeListParts): Listed[] {
  const rows = new Map(registry.list().map((row) => [row.node_name, row]));
  const beehives = new Map(registry.beehives().map((row) => [row.node_name, row]));
  return scheduler.nodes().flatMap((view) => {
    const row = rows.get(view.name);
    if (!row) return [];
    const { ssh_host = null, ssh_user = null } = beehives.get(view.name) ?? {};
    const control = hives.get(view.name);
    const facts = control?.facts;
    // The registry is written a little later; what is known now is truer.
    const now = facts
      ? { status: "reachable" as const, last_error: null, hive_port: facts.port }
      : view.error !== undefined
      ? { status: isReached(view.code) ? "reachable" as const : "unreachable" as const, last_error: view.error }
      : {};
    return [{
      ...row,
      ...now,
      machine: view.machine ?? null,
      // That of a node is the near end of a forward: nobody else can use it.
      hive_url: view.name === localNodeName ? control?.peer?.base ?? null : null,
      hive_version: facts?.version ?? null,
      hive_pid: facts?.pid ?? null,
      leased: facts?.leased ?? null,
      hive_status: statusOf(view),
      ssh_host,
      ssh_user,
      workers: scheduler.workers().filter((w) => w.node === view.name).length,
    }];
  });
}
