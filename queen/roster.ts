/**
 * The nodes that the queen works with, each with the way to its hive: this machine, and those of the registry.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { type Beehive, type DirectNode, localNodeName, type RegisteredNode } from "../protocol/node.ts";
import type { Log } from "../runtime/log.ts";
import { checkSocketPath } from "../runtime/ssh_sockets.ts";
import { tellWaitForEnd } from "../runtime/waiting.ts";
import { DirectAccess } from "./direct_access.ts";
import type { HiveAccess } from "./hive_access.ts";
import { HiveControl } from "./hive_control.ts";
import { endNarration } from "./hive_news.ts";
import type { LeaseHolder } from "./hive_probe.ts";
import { NodeLink, type Say } from "./node_link.ts";
import { RemoteHive } from "./remote_hive.ts";
import type { RemoteShell } from "./remote_shell.ts";
import type { RemoteHiveFacts } from "./remote_start.ts";
import type { SshTarget } from "./ssh_failure.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";

/** What the roster is made from. */
export interface RosterOptions {
  /** Real path of RBEE_HOME: the sockets lie below it. */
  readonly home: string;
  readonly holder: LeaseHolder;
  readonly log: Log;
  readonly onEvent: (event: SchedulerEvent) => void;
  /** `[remote] binary_path` (S57); absent: `current/rbee-hive` below the node's install path. */
  readonly binaryPath?: string;
  /** For one attempt to connect. */
  readonly connectMs: number;
}

interface Entry {
  readonly control: HiveControl;
  readonly row?: RegisteredNode;
  readonly link?: NodeLink;
}

/** All of them. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #entries = new Map<string, Entry>();
  /** What is being changed about a node: the next change waits for it. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #made = 0;

  constructor(options: RosterOptions) {
    this.#options = options;
    // What a queen before us left: she was killed, and her connections with her.
    removeFolder(socketsOf(options.home));
  }

  /** Returns the way to a node's hive; undefined when the node is not known. */
  get(node: string): HiveControl | undefined {
    return this.#entries.get(node)?.control;
  }

  /** Throws `RBEE_HOME_TOO_LONG` when no other machine can be reached from here. */
  check({ transport }: { transport?: RegisteredNode["transport"] }): void {
    if (transport !== "direct") checkSocketPath(this.#options.home);
  }

  /** Returns the names of all nodes. */
  names(): string[] {
    return [...this.#entries.keys()];
  }

  /** Whether a node is another machine, reached by SSH. */
  isRemote(node: string): boolean {
    return this.#entries.get(node)?.link !== undefined;
  }

  /** Returns the nodes whose hives end with us. */
  ours(): string[] {
    return [...this.#entries].filter(([, { control }]) => control.isOurs).map(([node]) => node);
  }

  /** Adds this machine. */
  addLocal(access: HiveAccess): void {
    this.#entries.set(localNodeName, { control: this.#control(localNodeName, access) });
  }

  /** Adds a registered machine. One that cannot be reached from this home is known, and whoever wants to go there is told why. */
  add(row: RegisteredNode): void {
    const node = row.node_name;
    this.#entries.set(node, row.transport === "direct" ? this.#direct(row) : this.#overSsh(row));
    this.#options.onEvent({ type: "nodeAdded", node });
  }

  #direct(row: DirectNode): Entry {
    return { row, control: this.#control(row.node_name, new DirectAccess(row, this.#options.holder)) };
  }

  #overSsh(row: Beehive): Entry {
    const { home, holder, log, connectMs } = this.#options;
    const node = row.node_name;
    // Short, whatever the node's name is, and never the folder of a connection that is still being ended.
    const folder = `${socketsOf(home)}/${this.#made++}`;
    const check = () => checkSocketPath(home);
    const link = new NodeLink({ node, target: targetOf(row), folder, connectMs, check });
    const access = new RemoteHive({ facts: this.factsOf(row), link, holder, log });
    return { row, link, control: this.#control(node, access) };
  }

  #control(node: string, access: HiveAccess): HiveControl {
    const { holder, log, onEvent } = this.#options;
    return new HiveControl({ node, access, holder, log, onEvent });
  }

  /** Returns what is said about a machine's hive. */
  factsOf(row: Beehive): RemoteHiveFacts {
    return {
      node: row.node_name,
      host: row.ssh_host,
      exe: this.#options.binaryPath ?? `${row.install_path}/current/rbee-hive`,
      hivePort: row.hive_port ?? 0,
      workerPortStart: row.worker_port_start ?? 0,
      workerPortEnd: row.worker_port_end ?? 0,
    };
  }

  /** Returns the SSH connection of a registered machine. Throws `NODE_NOT_FOUND`. */
  link(node: string): NodeLink {
    const link = this.#entries.get(node)?.link;
    if (link) return link;
    const message = node === localNodeName
      ? `Cannot do this on ${localNodeName}: it is this machine`
      : `Cannot find node '${node}' in the rbee-hive registry`;
    throw new RbeeError("NODE_NOT_FOUND", { message, details: { node, nodes: this.names() } });
  }

  /** Returns the shell of a registered machine, connected; `say` hears of the attempts. Throws why it can't be reached. */
  async shell(node: string, say: Say): Promise<RemoteShell> {
    const link = this.link(node);
    await link.connect(say);
    return link;
  }

  /** Ends the hive on a node when it is ours: one of an operator or of another queen is left as it is. `say` hears of it. */
  async stopOurs(node: string, say: Say): Promise<void> {
    const control = this.get(node);
    if (!control?.isOurs) return;
    using _telling = tellWaitForEnd(say, node);
    await control.stopHive();
    say(hasEnded(node));
  }

  /**
   * Makes what is known of a machine what the registry says now: added, changed, or forgotten. What ran there for us
   * has ended when this resolves.
   */
  renew(node: string, read: () => RegisteredNode | undefined): Promise<void> {
    const mine = (this.#turns.get(node) ?? Promise.resolve()).then(async () => {
      const known = this.#entries.get(node)?.row;
      const row = read();
      if (known && row && isSame(known, row)) return;
      const ended = await this.#remove(node);
      const now = read(); // it may have been changed once more meanwhile
      if (ended) this.#tell(node, now ? `${hasEnded(node)}; the next command starts it anew` : hasEnded(node));
      if (now) this.add(now);
    });
    this.#turns.set(node, mine.catch(() => {})); // told to whoever asked for it
    return mine;
  }

  /** Returns whether a hive has ended with it. */
  async #remove(node: string): Promise<boolean> {
    const entry = this.#entries.get(node);
    if (!entry?.row) return false;
    this.#entries.delete(node);
    const message = `Cannot go on: node '${node}' was changed or removed`;
    this.#options.onEvent({ type: "nodeRemoved", node, error: new RbeeError("NODE_UNREACHABLE", { message }) });
    const { isOurs } = entry.control;
    using _telling = isOurs ? tellWaitForEnd((human) => this.#tell(node, human), node) : undefined;
    await entry.control.end();
    return isOurs;
  }

  #tell(node: string, human: string): void {
    this.#options.onEvent({ type: "hiveNarration", node, narration: endNarration(node, human) });
  }

  /** Ends every hive that is ours, all at once. `onGone` is told of each node whose hive has ended. Never rejects. */
  async endAll(onGone: (node: string, count: { gone: number; all: number }) => void = () => {}): Promise<void> {
    const entries = [...this.#entries];
    const all = entries.filter(([, { control }]) => control.isOurs).length;
    let gone = 0;
    await Promise.all(entries.map(async ([node, { control }]) => {
      const { isOurs } = control;
      await control.end();
      if (isOurs) onGone(node, { gone: ++gone, all });
    }));
    await Promise.all(this.#turns.values());
    removeFolder(socketsOf(this.#options.home));
  }
}

const hasEnded = (node: string) => `🛑 Hive on ${node} has ended`;

const socketsOf = (home: string) => `${home}/s`;

/** What decides how a machine is reached and what runs there; the rest may change while it works. */
const meansOfReach = [
  ...["transport", "ssh_host", "ssh_port", "ssh_user", "ssh_key_path", "install_path", "hive_port"],
  ...["worker_port_start", "worker_port_end", "address", "token_file", "ca_cert_file", "plaintext"],
];

function isSame(a: RegisteredNode, b: RegisteredNode): boolean {
  const [left, right] = [a, b] as unknown as Record<string, unknown>[];
  return meansOfReach.every((field) => left[field] === right[field]);
}

/** Returns whom `ssh` is to reach for a machine. */
export function targetOf(row: Pick<Beehive, "ssh_host" | "ssh_user" | "ssh_port" | "ssh_key_path">): SshTarget {
  const key = row.ssh_key_path === null ? {} : { keyPath: row.ssh_key_path };
  return { host: row.ssh_host, user: row.ssh_user, port: row.ssh_port, ...key };
}

function removeFolder(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch {
    // it is not there
  }
}
