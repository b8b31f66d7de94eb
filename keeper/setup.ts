/**
 * `rbee setup`: the machines that are reached by SSH. The queen keeps them and logs in; the keeper tells.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import type { Beehive } from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { BodyInput } from "../protocol/routes.ts";
import { call } from "../runtime/call.ts";
import { environment } from "../runtime/environment.ts";
import { join } from "../runtime/path.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { withQueen } from "./queen_process.ts";

/** The flags that name one machine. */
export interface NamedOptions {
  readonly name: string;
}

/** The flags of `setup update-node`, parsed. */
export interface UpdateOptions extends NamedOptions {
  readonly sshHost?: string;
  readonly sshUser?: string;
  readonly sshPort?: number;
  readonly sshKey?: string;
  readonly gitRepo?: string;
  readonly gitBranch?: string;
  readonly installPath?: string;
  readonly hivePort?: number;
  /** `8081-8999`. */
  readonly workerPorts?: string;
}

/** The flags of `setup add-node`, parsed. */
export interface AddOptions extends UpdateOptions {
  readonly sshHost: string;
  readonly sshUser: string;
}

type Route =
  | typeof queenRoutes.addBeehive
  | typeof queenRoutes.updateBeehive
  | typeof queenRoutes.removeBeehive
  | typeof queenRoutes.testBeehive;

const queen = "queen-rbee";

/** Carries out `rbee setup add-node`. Returns 0 when the machine was reached and saved. */
export async function addNode(keeper: Keeper, options: AddOptions): Promise<number> {
  const body = { ...fieldsOf(options), ssh_host: options.sshHost, ssh_user: options.sshUser };
  return await change(keeper, queenRoutes.addBeehive, {
    body,
    host: options.sshHost,
    said: `SSH connection successful! Node '${options.name}' saved to the registry`,
  });
}

/** Carries out `rbee setup update-node`. Returns 0 when it is saved. */
export async function updateNode(keeper: Keeper, options: UpdateOptions): Promise<number> {
  const body = fieldsOf(options);
  if (Object.values(body).filter((value) => value !== undefined).length < 2) {
    throw new RbeeError("USAGE", {
      message: `Cannot update node '${options.name}': nothing to change was given`,
      hint: "See rbee setup update-node --help",
    });
  }
  const logsIn = options.sshHost ?? options.sshUser ?? options.sshPort ?? options.sshKey ?? options.installPath;
  return await change(keeper, queenRoutes.updateBeehive, {
    body,
    ...(logsIn === undefined ? {} : { host: options.sshHost ?? options.name }),
    said: `Node '${options.name}' updated`,
  });
}

/** Carries out `rbee setup test-node`. Returns 0 when the login worked. */
export async function testNode(keeper: Keeper, { name }: NamedOptions): Promise<number> {
  return await change(keeper, queenRoutes.testBeehive, {
    body: { node_name: name },
    host: name,
    said: `SSH connection successful! Node '${name}' is reachable`,
  });
}

/** Carries out `rbee setup remove-node`. Returns 0 when it is forgotten. */
export async function removeNode(keeper: Keeper, { name }: NamedOptions): Promise<number> {
  return await change(keeper, queenRoutes.removeBeehive, {
    body: { node_name: name },
    said: `Node '${name}' removed from the registry`,
  });
}

/** Carries out `rbee setup list-nodes`. Returns 0, also when there are none. */
export async function listNodes(keeper: Keeper): Promise<number> {
  const { render } = keeper;
  const nodes = await nodesOf(keeper);
  if (render.json) await render.value({ nodes });
  else if (nodes.length === 0) {
    await render.line("No nodes are registered. `rbee setup add-node` registers one; this machine needs none.");
  } else await render.line(listLines(nodes).join("\n"));
  return exitCodes.success;
}

/** Carries out `rbee setup show-node`. Returns 0. Throws `NODE_NOT_FOUND`. */
export async function showNode(keeper: Keeper, { name }: NamedOptions): Promise<number> {
  const { render } = keeper;
  const nodes = await nodesOf(keeper);
  const node = nodes.find((one) => one.node_name === name);
  if (!node) {
    throw new RbeeError("NODE_NOT_FOUND", {
      message: `Cannot find node '${name}' in the rbee-hive registry`,
      details: { node: name, nodes: nodes.map((one) => one.node_name) },
    });
  }
  if (render.json) await render.value(node);
  else await render.line(showLines(node).join("\n"));
  return exitCodes.success;
}

/** Returns the list as a person reads it. */
export function listLines(nodes: readonly Beehive[]): string[] {
  return [
    "Registered rbee-hive nodes:",
    ...nodes.flatMap((node) => ["", headline(node), ...statusLines(node), `  Install path: ${node.install_path}`]),
  ];
}

const headline = (node: Beehive) => `${node.node_name} (${node.ssh_host})`;

function statusLines(node: Beehive): string[] {
  return [
    `  Status: ${node.status}`,
    `  Last connected: ${node.last_connected_unix === null ? "never" : timeText(node.last_connected_unix)}`,
    ...(node.last_error === null ? [] : [`  Last error: ${node.last_error}`]),
  ];
}

/** Returns one machine as a person reads it. */
export function showLines(node: Beehive): string[] {
  const git = node.git_repo_url === null ? [] : [`  Git: ${node.git_repo_url} (${node.git_branch ?? "main"})`];
  return [
    headline(node),
    ...statusLines(node),
    `  SSH: ${node.ssh_user}@${node.ssh_host}, port ${node.ssh_port}`,
    `  Key: ${node.ssh_key_path ?? "as ssh chooses"}`,
    ...git,
    `  Install path: ${node.install_path}`,
    `  Ports: hive ${node.hive_port}, workers ${node.worker_port_start} to ${node.worker_port_end}`,
  ];
}

/** Returns a time in this machine's time zone: `2024-10-09 14:22:15`. */
export function timeText(unix: number): string {
  const at = new Date(unix * 1_000);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

async function nodesOf(keeper: Keeper): Promise<Beehive[]> {
  return await withQueen(keeper, async (session) => {
    const { nodes } = await call(session.queen.peer, queenRoutes.listBeehives, { signal: keeper.signal });
    return nodes;
  });
}

interface Change<R extends Route> {
  readonly body: BodyInput<R>;
  /** Where the queen logs in for it. */
  readonly host?: string;
  readonly said: string;
}

async function change<R extends Route>(keeper: Keeper, route: R, { body, host, said }: Change<R>): Promise<number> {
  const { render } = keeper;
  return await withQueen(keeper, async (session) => {
    if (host !== undefined) render.note(queen, `🔌 Testing SSH connection to ${host}`);
    let answer;
    try {
      answer = await call(session.queen.peer, route, { body, signal: keeper.signal });
    } catch (thrown) {
      const error = toRbeeError(thrown);
      const { reason } = error.details;
      if (typeof reason === "string") render.note(queen, `❌ SSH connection failed: ${reason}`);
      throw thrown;
    }
    if (render.json) await render.value(answer);
    else render.note(queen, `✅ ${said}`);
    return exitCodes.success;
  });
}

function fieldsOf(options: UpdateOptions) {
  return {
    node_name: options.name,
    ssh_host: options.sshHost,
    ssh_user: options.sshUser,
    ssh_port: options.sshPort,
    ssh_key_path: options.sshKey === undefined ? undefined : keyPath(options.sshKey),
    git_repo_url: options.gitRepo,
    git_branch: options.gitBranch,
    install_path: options.installPath,
    hive_port: options.hivePort,
    ...workerPorts(options.workerPorts),
  };
}

/** The key lies on this machine: `~` and what is relative mean the person's own folders, not the queen's. */
function keyPath(path: string): string {
  if (path === "~" || path.startsWith("~/")) return join(environment("HOME") ?? "/", path.slice(1));
  return path.startsWith("/") ? path : join(Deno.cwd(), path);
}

function workerPorts(range: string | undefined): { worker_port_start?: number; worker_port_end?: number } {
  if (range === undefined) return {};
  const match = range.match(/^(\d{1,5})-(\d{1,5})$/);
  if (match) return { worker_port_start: Number(match[1]), worker_port_end: Number(match[2]) };
  throw new RbeeError("USAGE", {
    message: `Cannot use --worker-ports: it must be two numbers`,
    hint: "Write it as --worker-ports 8081-8999",
  });
}
