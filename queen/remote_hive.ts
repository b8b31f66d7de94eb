/**
 * The hive of a node that is reached by SSH: found or started there, and reached through forwards of its loopback ports.
 * Nothing on the node listens on its network.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { workerKey } from "../runtime/auth.ts";
import type { Peer } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import { within } from "../runtime/process.ts";
import { VERSION } from "../runtime/version.ts";
import type { HiveAccess, HiveEnd, OpenHive, StopResult } from "./hive_access.ts";
import { hiveVersion, type LeaseHolder, renewLease, versionMismatch } from "./hive_probe.ts";
import type { NodeLink, Say } from "./node_link.ts";
import { readStarted, readStopped, type RemoteHiveFacts, type RemoteRunning, startCommand } from "./remote_start.ts";
import { commandLine } from "./shell_words.ts";
import type { SshMaster } from "./ssh_master.ts";

/** What is needed to have it. */
export interface RemoteHiveOptions {
  readonly facts: RemoteHiveFacts;
  readonly link: NodeLink;
  readonly holder: LeaseHolder;
  readonly log: Log;
}

/** The way to it. */
export class RemoteHive implements HiveAccess {
  readonly #options: RemoteHiveOptions;
  #master?: SshMaster;
  #token = "";
  #pid = 0;
  #port?: number;
  /** Which port each worker in use listens on. */
  readonly #workers = new Map<string, number>();
  #isEnding = false;

  constructor(options: RemoteHiveOptions) {
    this.#options = options;
  }

  /** See `HiveAccess`. */
  async open(say: Say): Promise<OpenHive> {
    if (this.#isEnding) throw new RbeeError("SHUTTING_DOWN");
    const { link, facts, log } = this.#options;
    const master = await link.connect(say);
    const there = await this.#findOrStart(master, say);
    try {
      if (this.#isEnding && there.how === "started") throw new RbeeError("SHUTTING_DOWN");
      const { peer, leased } = await this.#use(there, master);
      if (there.pid !== this.#pid) this.#closeFormer(master, there.port);
      this.#master = master;
      this.#port = there.port;
      this.#token = peer.token ?? "";
      this.#pid = there.pid;
      log.info(`hive ${there.how}`, { node: facts.node, pid: there.pid, port: there.port });
      const wasRunning = there.how === "found";
      return { peer, pid: there.pid, isOurs: leased, wasRunning, isRemote: true, gone: master.ended };
    } catch (error) {
      // Nobody else has any use for what was started to find that out, unless another queen found it before us.
      const isTaken = error instanceof RbeeError && error.code === "HIVE_LEASED";
      if (there.how === "started" && !isTaken) await master.run(...this.#stopping()).catch(() => {});
      throw error;
    }
  }

  /** Takes back what led to the hive before this one, and to its workers: they ended with it. */
  #closeFormer(master: SshMaster, port: number): void {
    const ports = new Set([this.#port, ...this.#workers.values()]);
    this.#workers.clear();
    if (master !== this.#master) return; // they went with the former connection
    for (const former of ports) if (former !== undefined && former !== port) void master.unforward(former);
  }

  /** Asks it who it is, and for its lease. */
  async #use(there: RemoteRunning, master: SshMaster): Promise<{ peer: Peer; leased: boolean }> {
    const { facts } = this.#options;
    if (there.version !== VERSION) {
      const wasRunning = there.how === "found";
      throw versionMismatch(there.version, `on ${facts.node}`, { node: facts.node, wasRunning });
    }
    if (there.token === undefined) throw noToken(facts);
    const { client } = await master.forward(there.port);
    const peer: Peer = {
      program: "rbee-hive",
      base: base(there.port),
      token: there.token,
      client,
      caller: "queen-rbee",
    };
    await this.#check(peer, master);
    const { leased } = await this.#takeLease(peer);
    return { peer, leased };
  }

  async #findOrStart(master: SshMaster, say: Say): Promise<RemoteRunning> {
    const { facts } = this.#options;
    const { command, input } = startCommand("start", facts);
    const late = setTimeout(() => say(`🐝 Waiting for the hive on ${facts.node}`), limits.narrateAfterMs);
    try {
      const result = await master.run(command, { input, timeoutMs: limits.hiveStartMs + limits.sshLoginMs });
      const found = readStarted(facts, result);
      if (found) return found;
      throw new RbeeError("HIVE_START_FAILED", { message: `Cannot start the hive on ${facts.node}` });
    } finally {
      clearTimeout(late);
    }
  }

  /** See `HiveAccess`: by a signal there, so also one of another version, or whose token nobody knows. */
  async stop(say: Say): Promise<StopResult> {
    const { link, facts } = this.#options;
    const master = await link.connect(say);
    return readStopped(facts, await master.run(...this.#stopping()));
  }

  #stopping(): [string, { input: string; timeoutMs: number }] {
    const { command, input } = startCommand("stop", this.#options.facts);
    return [command, { input, timeoutMs: 2 * limits.everythingGoneMs }];
  }

  async #takeLease(peer: Peer): Promise<{ leased: boolean }> {
    const { facts, holder } = this.#options;
    try {
      return await renewLease(peer, holder);
    } catch (error) {
      if (!(error instanceof RbeeError) || error.code !== "HIVE_LEASED") throw error;
      const message = `Cannot use the hive on ${facts.node}: a queen on ${error.details.host} holds it`;
      throw new RbeeError(error.code, { message, details: { ...error.details, node: facts.node }, hint: error.hint });
    }
  }

  /** Throws when what answers on that port is not the hive whose token we have read. */
  async #check(peer: Peer, master: SshMaster): Promise<void> {
    let version: string | undefined;
    try {
      version = await hiveVersion(peer, limits.callTimeoutMs);
    } catch (cause) {
      await within(master.ended, limits.sshGoneMs); // its words arrive a little after the broken request
      throw master.forwardingFailure ?? cause;
    }
    if (version === undefined) throw noToken(this.#options.facts);
  }

  /** See `HiveAccess`: a forward to its port, and a key that is derived from the hive's token. */
  async workerPeer(id: string, url: string): Promise<Peer> {
    const { node } = this.#options.facts;
    if (!this.#master?.isUp) {
      throw await this.whyGone() ?? new RbeeError("CONNECTION_LOST", { details: { node } });
    }
    const port = Number(new URL(url).port);
    this.#workers.set(id, port);
    const { client } = await this.#master.forward(port);
    const token = workerKey(this.#token, id);
    return { program: "llm-worker-rbee", base: base(port), token, client, caller: "queen-rbee" };
  }

  /** See `HiveAccess`. */
  forgetWorker(id: string): void {
    const port = this.#workers.get(id);
    this.#workers.delete(id);
    // The next worker on that port may be there already, and use the same forward.
    if (port !== undefined && ![...this.#workers.values()].includes(port)) void this.#master?.unforward(port);
  }

  /** See `HiveAccess`. */
  async whyGone(): Promise<RbeeError | undefined> {
    const master = this.#master;
    if (!master || !await within(master.ended, limits.sshGoneMs)) return undefined;
    return await master.ended;
  }

  /** See `HiveAccess`. The script that starts it is waited for: it does not end with its connection. */
  giveUp(): void {
    this.#isEnding = true;
    this.#options.link.giveUp();
  }

  /** See `HiveAccess`. */
  async untilGone(): Promise<void> {
    if (this.#master?.isUp) await this.#master.run(...this.#waiting()).catch(() => {});
  }

  /** See `HiveAccess`. One that cannot be reached ends by itself when its lease is over. */
  async end({ isOurs, asked, over }: HiveEnd): Promise<void> {
    this.#isEnding = true;
    if (isOurs && this.#master?.isUp) {
      // Its last words come a little before its end; one that does not even answer is stopped by signals.
      const isEnding = asked && await within(over, limits.drainMs + limits.termGraceMs);
      await this.#master.run(...(isEnding ? this.#waiting() : this.#stopping())).catch(() => {});
    }
    await this.#options.link.close().catch(() => {});
  }

  /** Waits there until the process is gone: nothing of ours is to be seen when we say that it has ended. */
  #waiting(): [string, { timeoutMs: number }] {
    const loop = "i=0; while kill -0 $1 2>/dev/null && [ $i -lt 100 ]; do i=$((i+1)); sleep 0.05; done";
    return [`exec sh -c ${commandLine([loop, "sh", String(this.#pid)])}`, { timeoutMs: limits.termGraceMs }];
  }
}

/** A socket is a proxy to Deno's fetch, which goes around it for every name in NO_PROXY: `goAroundProxy` leaves this one out. */
const base = (port: number) => `http://localhost:${port}`;

function noToken({ node, host }: RemoteHiveFacts): RbeeError {
  return new RbeeError("INVALID_API_KEY", {
    message: `Cannot use the hive on ${node}: the key in ~/.rbee/hive.token there is not its key`,
    details: { node, address: host },
    hint:
      `Its operator gave it another token: write it to ~/.rbee/hive.token on ${node} (chmod 600), or stop that hive`,
  });
}
