/**
 * `rbee setup`: the other machines. The queen keeps them and reaches each; the keeper tells.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type Beehive, localNodeName, type RegisteredNode } from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { BodyInput } from "../protocol/routes.ts";
import { call } from "../runtime/call.ts";
import { environment } from "../runtime/environment.ts";
import { join } from "../runtime/path.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { warnMovedAside } from "./moved_aside.ts";
import { isHiveEnd, showNarration } from "./narration.ts";
import { type QueenSession, withQueen } from "./queen_process.ts";
import { directFields, directLines, type DirectOptions, placeOf } from "./setup_direct.ts";

/** The flags that name one machine. */
export interface NamedOptions {
  readonly name: string;
}

/** The flags of `setup update-node`, parsed. */
export interface UpdateOptions extends NamedOptions, DirectOptions {
  readonly sshHost?: string;
  readonly sshUser?: string;
  readonly sshPort?: number;
  readonly sshKey?: string;
  readonly gitRepo?: string;
  readonly gitBranch?: string;
  readonly installPath?: string;
  /** The first and the last. */
  readonly workerPorts?: readonly [number, number];
}

/** The flags of `setup add-node`, parsed; the command line has checked which belong together. */
export interface AddOptions extends UpdateOptions {
  readonly transport: "ssh" | "direct";
}

type Route =
  | typeof queenRoutes.addBeehive
  | typeof queenRoutes.updateBeehive
  | typeof queenRoutes.removeBeehive
  | typeof queenRoutes.testBeehive;

const queen = "queen-rbee";

/** Carries out `rbee setup add-node`. Returns 0 when the machine was reached and saved. */
export async function addNode(keeper: Keeper, options: AddOptions): Promise<number> {
  if (options.transport === "direct") return await addDirectNode(keeper, options);
  const body = { ...fieldsOf(options), ssh_host: options.sshHost!, ssh_user: options.sshUser! };
  return await change(keeper, queenRoutes.addBeehive, {
    body,
    asks: sshAsks(options.sshHost!),
    said: `SSH connection successful! Node '${options.name}' saved to the registry`,
  });
}

async function addDirectNode(keeper: Keeper, options: AddOptions): Promise<number> {
  const { address, token_file, ...rest } = directFields(options, pathHere);
  const body = {
    ...{ transport: "direct" as const, node_name: options.name, ...rest },
    ...{ address: address!, token_file: token_file! },
  };
  return await change(keeper, queenRoutes.addBeehive, {
    body,
    asks: directAsks(options.address!),
    said: `The hive takes the token. Node '${options.name}' saved to the registry`,
  });
}

const sshAsks = (host: string) => `Testing SSH connection to ${host}`;
const directAsks = (place: string) => `Asking the hive at ${place}`;

/** Carries out `rbee setup update-node`. Returns 0 when it is saved. */
export async function updateNode(keeper: Keeper, options: UpdateOptions): Promise<number> {
  const body = { ...fieldsOf(options), ...directFields(options, pathHere) };
  if (Object.values(body).filter((value) => value !== undefined).length < 2) {
    throw new RbeeError("USAGE", {
      message: `Cannot update node '${options.name}': nothing to change was given`,
      hint: "See rbee setup update-node --help",
    });
  }
  const logsIn = options.sshHost ?? options.sshUser ?? options.sshPort ?? options.sshKey ?? options.installPath;
  const calls = options.address ?? options.tokenFile ?? options.caCert ?? options.plaintext;
  return await change(keeper, queenRoutes.updateBeehive, {
    body,
    ...(calls === undefined ? {} : { asks: directAsks(options.address ?? options.name) }),
    ...(logsIn === undefined ? {} : { asks: sshAsks(options.sshHost ?? options.name) }),
    said: `Node '${options.name}' updated`,
    ends: options.name,
  });
}

/** Carries out `rbee setup test-node`. Returns 0 when the login worked. */
export async function testNode(keeper: Keeper, { name }: NamedOptions): Promise<number> {
  return await withQueen(keeper, async (session) => {
    const node = (await nodesFrom(session, keeper)).find((one) => one.node_name === name);
    const isDirect = node?.transport === "direct";
    return await changeIn(session, keeper, queenRoutes.testBeehive, {
      body: { node_name: name },
      asks: node && (isDirect ? directAsks(placeOf(node)) : sshAsks(name)),
      said: `${isDirect ? "The hive takes the token." : "SSH connection successful!"} Node '${name}' is reachable`,
    });
  }, { idle: true });
}

/** Carries out `rbee setup remove-node`. Returns 0 when it is forgotten. */
export async function removeNode(keeper: Keeper, { name }: NamedOptions): Promise<number> {
  return await change(keeper, queenRoutes.removeBeehive, {
    body: { node_name: name },
    said: `Node '${name}' removed from the registry`,
    ends: name,
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
export function listLines(nodes: readonly RegisteredNode[]): string[] {
  return [
    "Registered rbee-hive nodes:",
    ...nodes.flatMap((node) => ["", headline(node), ...statusLines(node), ...placeLines(node)]),
  ];
}

const headline = (node: RegisteredNode) =>
  `${node.node_name} (${node.transport === "direct" ? node.address : node.ssh_host})`;

const placeLines = (node: RegisteredNode) =>
  node.transport === "direct" ? directLines(node).slice(0, 1) : [`  Install path: ${node.install_path}`];

function statusLines(node: RegisteredNode): string[] {
  return [
    `  Status: ${node.status}`,
    `  Last connected: ${node.last_connected_unix === null ? "never" : timeText(node.last_connected_unix)}`,
    ...(node.last_error === null ? [] : [`  Last error: ${node.last_error}`]),
  ];
}

/** Returns one machine as a person reads it. */
export function showLines(node: RegisteredNode): string[] {
  return [headline(node), ...statusLines(node), ...(node.transport === "direct" ? directLines(node) : sshLines(node))];
}

function sshLines(node: Beehive): string[] {
  const git = node.git_repo_url === null ? [] : [`  Git: ${node.git_repo_url} (${node.git_branch ?? "main"})`];
  // 22 leaves it to ssh, and what that reads is not known here.
  const port = node.ssh_port === 22 ? "22 or what ~/.ssh/config says" : node.ssh_port;
  return [
    `  SSH: ${node.ssh_user}@${node.ssh_host}, port ${port}`,
    `  Key: ${node.ssh_key_path ?? "as ssh chooses"}`,
    `  Platform: ${node.platform ?? "not known yet"}`,
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

async function nodesOf(keeper: Keeper): Promise<RegisteredNode[]> {
  return await withQueen(keeper, (session) => nodesFrom(session, keeper), { idle: true });
}

async function nodesFrom(session: QueenSession, keeper: Keeper): Promise<RegisteredNode[]> {
  if (session.queen.info) warnMovedAside(keeper, session.queen); // of a queen just started it was told
  const { nodes } = await call(session.queen.peer, queenRoutes.listBeehives, { signal: keeper.signal });
  return nodes;
}

interface Change<R extends Route> {
  readonly body: NonNullable<BodyInput<R>>;
  /** What the queen does for it, when that takes a while. */
  readonly asks?: string;
  readonly said: string;
  /** The node whose hive ends by it, if it runs: the queen tells of that. */
  readonly ends?: string;
}

async function change<R extends Route>(keeper: Keeper, route: R, wish: Change<R>): Promise<number> {
  return await withQueen(keeper, async (session) => {
    const asks = await willAsk(session, keeper, route, wish) ? wish.asks : undefined;
    return await changeIn(session, keeper, route, { ...wish, asks });
  }, { idle: true });
}

/** Whether a machine is reached for it: a name that is taken, or that nobody knows, is refused before that. */
async function willAsk<R extends Route>(
  { queen }: QueenSession,
  { signal }: Keeper,
  route: R,
  { body, asks }: Change<R>,
): Promise<boolean> {
  if (asks === undefined || body.node_name === localNodeName) return false;
  const { nodes } = await call(queen.peer, queenRoutes.listBeehives, { signal });
  return nodes.some((node) => node.node_name === body.node_name) === (route !== queenRoutes.addBeehive);
}

async function changeIn<R extends Route>(
  session: QueenSession,
  keeper: Keeper,
  route: R,
  { body, asks, said, ends }: Change<R>,
): Promise<number> {
  const { render } = keeper;
  if (asks !== undefined) render.note(queen, `🔌 ${asks}`);
  let answer;
  try {
    // A queen that was started for this has no hives.
    await using _told = ends && session.queen.info ? await showHiveEnd(keeper, session, ends) : undefined;
    // She first ends what runs on the machine whose entry changes.
    const deadlineMs = 2 * limits.everythingGoneMs;
    answer = await call(session.queen.peer, route, { body, signal: keeper.signal, deadlineMs });
  } catch (thrown) {
    const { reason } = toRbeeError(thrown).details;
    if (typeof reason === "string") render.note(queen, `❌ SSH connection failed: ${reason}`);
    throw thrown;
  }
  if (render.json) await render.value(answer);
  else render.note(queen, `✅ ${said}`);
  return exitCodes.success;
}

function showHiveEnd(keeper: Keeper, { queen: { peer } }: QueenSession, node: string): Promise<AsyncDisposable> {
  return showNarration(keeper, peer, (told) => isHiveEnd(told) && told.target === node);
}

function fieldsOf(options: UpdateOptions) {
  return {
    node_name: options.name,
    ssh_host: options.sshHost,
    ssh_user: options.sshUser,
    ssh_port: options.sshPort,
    ssh_key_path: options.sshKey === undefined ? undefined : pathHere(options.sshKey),
    git_repo_url: options.gitRepo,
    git_branch: options.gitBranch,
    install_path: options.installPath,
    hive_port: options.hivePort,
    worker_port_start: options.workerPorts?.[0],
    worker_port_end: options.workerPorts?.[1],
  };
}

/** Returns a path on this machine, absolute: `~` and what is relative mean the person's own folders, not the queen's. */
export function pathHere(path: string): string {
  if (path === "~" || path.startsWith("~/")) return join(environment("HOME") ?? "/", path.slice(1));
  return path.startsWith("/") ? path : join(Deno.cwd(), path);
}
