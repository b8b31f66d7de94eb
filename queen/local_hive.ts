/**
 * This machine's hive: adopted when one runs, else started as our child, and ended with us when it is ours.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { localNodeName } from "../protocol/node.ts";
import { workerKey } from "../runtime/auth.ts";
import { call, type Peer, sleep, tcpState } from "../runtime/call.ts";
import { programCommand } from "../runtime/executables.ts";
import type { Log } from "../runtime/log.ts";
import { isAlive, runsProgram } from "../runtime/other_process.ts";
import { type Child, type Ended, startChild, within } from "../runtime/process.ts";
import { readRunning, type Running } from "../runtime/running.ts";
import { clientOfOwnHive } from "../runtime/trust.ts";
import { VERSION } from "../runtime/version.ts";
import type { HiveAccess, HiveEnd, OpenHive, StopResult } from "./hive_access.ts";
import { hiveVersion, type LeaseHolder, renewLease, versionMismatch } from "./hive_probe.ts";
import { startFailure } from "./hive_start_failure.ts";

/** What is needed to have it. */
export interface LocalHiveOptions {
  /** Real path of RBEE_HOME: the hive's working directory. */
  readonly home: string;
  readonly hiveFile: string;
  /** The hive's certificate, for when it listens on the network. */
  readonly certFile: string;
  /** The hive's token, and whether it must be handed over because it stands in no file that the hive reads. */
  readonly token: string;
  readonly handOverToken: boolean;
  readonly configFile?: string;
  /** Whether it may take another port than the configured one. */
  readonly portFallback: boolean;
  readonly holder: LeaseHolder;
  readonly log: Log;
  /** Whether the process of that number is a hive; undefined: nobody knows. `runsProgram` when absent. */
  readonly isHive?: (pid: number) => boolean | undefined;
}

/** The way to it. */
export class LocalHive implements HiveAccess {
  readonly #options: LocalHiveOptions;
  #child?: Child;
  /** Undefined while the hive listens on loopback, without TLS. */
  #client?: Deno.HttpClient;
  #isEnding = false;
  #isStarting = false;
  /** Of the hive that was opened last. */
  #pid?: number;

  constructor(options: LocalHiveOptions) {
    this.#options = options;
  }

  /** See `HiveAccess`. */
  async open(): Promise<OpenHive> {
    const adopted = await this.#adopt();
    const { peer, pid } = adopted ?? await this.#start();
    this.#pid = pid;
    const message = `Cannot go on: the hive on ${localNodeName} died`;
    const gone = this.#child?.ended.then(() => new RbeeError("CONNECTION_LOST", { message }));
    const isOurs = this.#child !== undefined;
    return { peer, pid, wasRunning: adopted !== undefined, isOurs, isRemote: false, gone: gone ?? never() };
  }

  /** See `HiveAccess`. */
  async stop(): Promise<StopResult> {
    const child = this.#child;
    if (child) return (await child.stop()).cause === "killed" ? "killed" : "stopped";
    const running = this.#running();
    if (!running) return "none";
    const peer = this.#peerAt(running.url);
    if (await hiveVersion(peer).catch(() => undefined) === undefined) return "none"; // nobody, or no hive of ours
    try {
      await call(peer, hiveRoutes.shutdown, { deadlineMs: limits.shutdownAckMs, attempts: 1 });
    } catch (cause) {
      const { code, message } = toRbeeError(cause);
      throw new RbeeError(code, { message, hint: `End it by hand: kill ${running.pid}`, cause });
    }
    const { hostname, port } = new URL(running.url);
    for (const end = performance.now() + limits.everythingGoneMs; performance.now() < end;) {
      if (await tcpState(hostname, Number(port), limits.queenProbeMs) === "refuses") return "stopped";
      await sleep(limits.hivePollMs);
    }
    throw new RbeeError("TIMEOUT", {
      message: `Cannot end the hive on ${localNodeName}: it still answers`,
      hint: `End it by force: kill -9 ${running.pid} (its workers end with it)`,
    });
  }

  /** Returns what hive.json says, unless its process is something else by now: the file outlives a killed hive. */
  #running(): Running | undefined {
    const running = readRunning(this.#options.hiveFile);
    const { isHive = (pid: number) => runsProgram(pid, "rbee-hive") } = this.#options;
    return running && isHive(running.pid) !== false ? running : undefined;
  }

  /** What a killed hive said would be taken for the word of a child with the same number: in a container that happens. */
  #removeStale(): void {
    const { hiveFile } = this.#options;
    if (!readRunning(hiveFile) || this.#running()) return;
    try {
      Deno.removeSync(hiveFile);
    } catch {
      // removed meanwhile
    }
  }

  /** See `HiveAccess`: its key is derived from the hive's token. */
  workerPeer(id: string, url: string): Promise<Peer> {
    const token = workerKey(this.#options.token, id);
    return Promise.resolve({
      program: "llm-worker-rbee",
      base: url,
      token,
      client: this.#client,
      caller: "queen-rbee",
    });
  }

  /** Nothing leads to a worker here but its port. */
  forgetWorker(): void {}

  /** The way to this machine is always there. */
  whyGone(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  #peerAt(base: string): Peer {
    this.#client?.close();
    this.#client = clientOfOwnHive(base, this.#options.certFile);
    return { program: "rbee-hive", base, token: this.#options.token, client: this.#client, caller: "queen-rbee" };
  }

  /** Returns the hive that hive.json names, if it answers and is ours to use; throws when another queen has it. */
  async #adopt(): Promise<{ peer: Peer; pid: number } | undefined> {
    const running = this.#running();
    if (!running) return undefined;
    const { holder, log } = this.#options;
    const peer = this.#peerAt(running.url);
    const version = await hiveVersion(peer).catch(() => undefined); // nobody, or something else: hive.json is stale
    if (version === undefined) return undefined;
    if (version !== VERSION) throw versionMismatch(version, `at ${running.url}`);
    try {
      await renewLease(peer, holder);
    } catch (error) {
      // It shows our home and does not know our token: no hive of ours.
      if (error instanceof RbeeError && error.status === 401) return undefined;
      throw error;
    }
    log.info("hive adopted", { url: running.url, pid: running.pid });
    return { peer, pid: running.pid };
  }

  async #start(): Promise<{ peer: Peer; pid: number }> {
    if (this.#isEnding) throw new RbeeError("SHUTTING_DOWN");
    const former = this.#child;
    // Ours, and it does not answer: it is ending, or stuck. Two would fight for the port.
    if (former && !await within(former.ended, limits.lostWorkerGraceMs)) await former.kill();
    if (this.#isEnding) throw new RbeeError("SHUTTING_DOWN");
    const { home, token, handOverToken, configFile, portFallback, log } = this.#options;
    const command = programCommand("rbee-hive");
    const env: Record<string, string> = { PATH: command.path };
    if (handOverToken) env.RBEE_HIVE_TOKEN = token;
    if (configFile) env.RBEE_CONFIG = configFile;
    const args = [...command.args, "daemon", "--leased", "--detached", ...(portFallback ? ["--port-fallback"] : [])];
    this.#removeStale();
    const child = this.#spawn({ exe: command.exe, args, cwd: home, env });
    this.#child = child;
    child.ended.then(() => {
      if (this.#child === child) this.#child = undefined;
    });
    this.#isStarting = true;
    const url = await this.#urlOf(child).finally(() => this.#isStarting = false);
    log.info("hive started", { url, pid: child.pid });
    return { peer: this.#peerAt(url), pid: child.pid };
  }

  #spawn(options: Parameters<typeof startChild>[0]): Child {
    try {
      return startChild(options);
    } catch (cause) {
      throw new RbeeError("HIVE_START_FAILED", {
        message: `Cannot start the hive: ${cause instanceof Error ? cause.message : cause}`,
        hint: "Put the folder of rbee-hive first in PATH, or use `rbee up`",
        cause,
      });
    }
  }

  /** Returns the address that a starting hive publishes. */
  async #urlOf(child: Child): Promise<string> {
    let ended: Ended | undefined;
    child.ended.then((how) => ended = how);
    for (const end = performance.now() + limits.hiveStartMs; performance.now() < end;) {
      if (ended) throw startFailure(child.tail(), ended);
      const running = readRunning(this.#options.hiveFile);
      if (running?.pid === child.pid) return running.url;
      await sleep(limits.hivePollMs);
    }
    await child.kill();
    throw new RbeeError("HIVE_START_FAILED", {
      message: `Cannot start the hive: it did not listen within ${limits.hiveStartMs / 1_000} s`,
    });
  }

  /** See `HiveAccess`: a child that does not listen yet has nothing to finish. */
  giveUp(): void {
    this.#isEnding = true;
    if (this.#isStarting) void this.#child?.stop();
  }

  /** See `HiveAccess`. */
  async untilGone(): Promise<void> {
    const pid = this.#pid;
    // `isAlive` needs a permission that a queen has not: it is for systems that do not say what a process is.
    const lives = () => pid !== undefined && (runsProgram(pid, "rbee-hive") ?? isAlive(pid));
    for (const end = performance.now() + limits.termGraceMs; lives() && performance.now() < end;) {
      await sleep(limits.hivePollMs);
    }
  }

  /** See `HiveAccess`. An adopted one is left as it is. */
  async end({ asked }: HiveEnd): Promise<void> {
    this.#isEnding = true;
    const child = this.#child;
    if (!child) return;
    // It ends its workers first, so it gets as long as one of them may need.
    if (!asked || !await within(child.ended, limits.drainMs)) await child.stop();
  }
}

const never = () => new Promise<never>(() => {});
