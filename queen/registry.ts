/**
 * The endpoints of the node registry: each machine is reached once before it is saved, and acknowledged when it is
 * durable.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import {
  type Beehive,
  type BeehiveChange,
  localNodeName,
  type NewBeehive,
  type NewDirectNode,
  type RegisteredNode,
} from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { type Endpoint, endpoint } from "../runtime/serve.ts";
import { addDirect, changedMeanwhile, testDirect, updateDirect, wrongFields } from "./direct_registry.ts";
import type { NodeRegistry } from "./nodes.ts";
import { testConnection } from "./ssh.ts";
import { checkNames } from "./ssh_names.ts";

/** The machines that the queen works with; what is registered is one of them at once. */
export interface NodesInUse {
  /** Throws `RBEE_HOME_TOO_LONG` when no other machine can be reached from here. */
  check(row: { transport?: RegisteredNode["transport"] }): void;
  /** Makes what is in use of a machine what the registry says now; undefined: it is not there any more. */
  renew(node: string, read: () => RegisteredNode | undefined): Promise<void>;
}

/** Returns the endpoints of the registry. */
export function registryEndpoints(registry: NodeRegistry, hives: NodesInUse): Endpoint[] {
  const renew = (node: string) => hives.renew(node, () => registry.beehive(node) ?? registry.directNode(node));
  return [
    endpoint(queenRoutes.listBeehives, () => ({ nodes: allNodes(registry) })),
    endpoint(queenRoutes.addBeehive, async ({ body, context }) => {
      hives.check(body);
      const answer = await add(registry, body, context.signal);
      await renew(body.node_name);
      return answer;
    }),
    endpoint(queenRoutes.updateBeehive, async ({ body, context }) => {
      const answer = await update(registry, body, { hives, signal: context.signal });
      await renew(body.node_name);
      return answer;
    }),
    endpoint(queenRoutes.removeBeehive, async ({ body }) => {
      refuseLocal(body.node_name);
      if (!registry.remove(body.node_name)) throw unknownNode(registry, body.node_name);
      await renew(body.node_name);
      return done(body.node_name, `Node '${body.node_name}' removed from the registry`);
    }),
    endpoint(queenRoutes.testBeehive, ({ body, context }) => {
      hives.check(known(registry, body.node_name));
      return test(registry, body.node_name, context.signal);
    }),
  ];
}

const allNodes = (registry: NodeRegistry): RegisteredNode[] =>
  [...registry.beehives(), ...registry.directNodes()].sort((a, b) => a.node_name < b.node_name ? -1 : 1);

const now = () => Math.floor(Date.now() / 1_000);
const done = (node_name: string, message: string) => ({ success: true as const, message, node_name });

async function add(registry: NodeRegistry, wish: NewBeehive | NewDirectNode, signal: AbortSignal) {
  refuseLocal(wish.node_name);
  if (wish.transport !== "direct") check(wish);
  if (registry.has(wish.node_name)) throw taken(wish.node_name);
  if (wish.transport === "direct") {
    if (!await addDirect(registry, wish, signal)) throw taken(wish.node_name);
    return done(wish.node_name, `The hive takes the token: node '${wish.node_name}' saved`);
  }
  const install_path = await reach(wish, signal);
  if (!registry.add({ ...wish, install_path }, now())) throw taken(wish.node_name);
  return done(wish.node_name, `SSH connection works: node '${wish.node_name}' saved`);
}

/** What decides whether and where a login works, and what `~` is there. */
const loginFields = ["ssh_host", "ssh_port", "ssh_user", "ssh_key_path", "install_path"] as const;

/** What only a node whose hive is called directly has. */
const directOnly = ["address", "token_file", "ca_cert_file", "plaintext"] as const;

async function update(
  registry: NodeRegistry,
  change: BeehiveChange,
  { hives, signal }: { hives: NodesInUse; signal: AbortSignal },
) {
  const name = change.node_name;
  const before = known(registry, name);
  if (before.transport === "direct") {
    if (!await updateDirect(registry, { before, change, signal })) throw unknownNode(registry, name);
    return done(name, `Node '${name}' updated`);
  }
  const foreign = directOnly.filter((field) => change[field] !== undefined);
  if (foreign.length > 0) throw wrongFields(name, foreign, "it is reached by SSH");
  const said = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  const row: Beehive = { ...before, ...said };
  check(row);
  // A machine that is off can still be given another port for its hive.
  if (!differs(row, before)) registry.update(row);
  else {
    hives.check(row);
    const install_path = await reach(row, signal);
    const meanwhile = known(registry, name); // it may have been removed, or changed by somebody who was told so
    if (meanwhile.transport !== "ssh" || differs(meanwhile, before)) throw changedMeanwhile(name);
    const merged = { ...meanwhile, ...said, install_path };
    check(merged);
    registry.update(merged, now());
  }
  return done(name, `Node '${name}' updated`);
}

/** Whether a login that worked with the one says nothing about the other. */
const differs = (row: Beehive, other: Beehive) => loginFields.some((field) => row[field] !== other[field]);

async function test(registry: NodeRegistry, name: string, signal: AbortSignal) {
  const row = known(registry, name);
  if (row.transport === "direct") {
    await testDirect(registry, row, signal);
    return done(name, `The hive takes the token: node '${name}' is reachable`);
  }
  try {
    await reach(row, signal);
  } catch (thrown) {
    const error = toRbeeError(thrown);
    if (!signal.aborted) registry.noteUnreachable(name, error.message);
    throw error;
  }
  registry.noteLogin(name, now());
  return done(name, `SSH connection works: node '${name}' is reachable`);
}

/** Logs in once; returns the install path as it is on that machine. */
async function reach(row: NewBeehive | Beehive, signal: AbortSignal): Promise<string> {
  const { home } = await testConnection({
    host: row.ssh_host,
    user: row.ssh_user,
    port: row.ssh_port,
    ...(row.ssh_key_path === null ? {} : { keyPath: row.ssh_key_path }),
  }, signal);
  const install_path = row.install_path.replace(/^~(?=\/|$)/, () => home.replace(/\/+$/, ""));
  checkNames({ install_path }); // the home is that machine's word
  return install_path;
}

function check(row: NewBeehive | Beehive): void {
  checkNames(row);
  const { worker_port_start: first, worker_port_end: last } = row;
  if (first !== null && last !== null && first > last) {
    throw new RbeeError("INVALID_REQUEST", {
      message: `Cannot use the worker ports ${first} to ${last}: the first is above the last`,
    });
  }
}

function known(registry: NodeRegistry, name: string): RegisteredNode {
  refuseLocal(name);
  const row = registry.beehive(name) ?? registry.directNode(name);
  if (!row) throw unknownNode(registry, name);
  return row;
}

function refuseLocal(name: string): void {
  if (name !== localNodeName) return;
  throw new RbeeError("INVALID_REQUEST", {
    message: `Cannot use the name ${localNodeName}: it is this machine's own`,
    hint: "Use another name",
  });
}

const taken = (name: string) =>
  new RbeeError("NODE_ALREADY_EXISTS", {
    message: `Cannot add node '${name}': the name is taken`,
    details: { node: name },
    hint:
      `Change it: rbee setup update-node --name ${name} …; or remove it first: rbee setup remove-node --name ${name}`,
  });

function unknownNode(registry: NodeRegistry, name: string): RbeeError {
  const nodes = registry.list().map((row) => row.node_name);
  return new RbeeError("NODE_NOT_FOUND", {
    message: `Cannot find node '${name}' in the rbee-hive registry`,
    details: { node: name, nodes },
  });
}
