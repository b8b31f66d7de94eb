/**
 * This machine's hive: adopted when one runs, else started as our child; its lease renewed, its events followed, and
 * ended with us when it is ours. Whether and when it is wanted the scheduler decides.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { homeId, workerKey } from "../runtime/auth.ts";
import { call, type Peer, sleep } from "../runtime/call.ts";
import { programCommand } from "../runtime/executables.ts";
import type { Log } from "../runtime/log.ts";
import { runsProgram } from "../runtime/other_process.ts";
import { type Child, type Ended, startChild, within } from "../runtime/process.ts";
import { readRunning } from "../runtime/running.ts";
import { VERSION } from "../runtime/version.ts";
import { followHive } from "./hive_events.ts";
import { startFailure } from "./hive_start_failure.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";

/** What is needed to have a hive. */
export interface HiveControlOptions {
  readonly node: string;
  /** Real path of RBEE_HOME: the hive's working directory. */
  readonly home: string;
  readonly hiveFile: string;
  /** The hive's token, and whether it must be handed over because it stands in no file that the hive reads. */
  readonly token: string;
  readonly handOverToken: boolean;
  readonly configFile?: string;
  /** Whether it may take another port than the configured one. */
  readonly portFallback: boolean;
  /** Names this queen to the hive. */
  readonly queenId: string;
  readonly hostname: string;
  readonly log: Log;
  readonly onEvent: (event: SchedulerEvent) => void;
  /** Whether the process of that number is a hive; undefined: nobody knows. `runsProgram` when absent. */
  readonly isHive?: (pid: number) => boolean | undefined;
}

interface Connection {
  readonly peer: Peer;
  readonly cut: AbortController;
  /** Ends it, and tells the scheduler. */
  readonly lose: (error: RbeeError) => void;
  /** Resolves when it has ended. */
  readonly over: Promise<void>;
}

/** The way to one hive. */
export class HiveControl {
  readonly #options: HiveControlOptions;
  #connection?: Connection;
  #child?: Child;
  #isEnding = false;

  constructor(options: HiveControlOptions) {
    this.#options = options;
  }

  /** The hive while it answers. */
  get peer(): Peer | undefined {
    return this.#connection?.peer;
  }

  /** Returns a worker of this hive as a peer; its key is derived from the hive's token. */
  workerPeer(id: string, url: string): Peer {
    return { program: "llm-worker-rbee", base: url, token: workerKey(this.#options.token, id), caller: "queen-rbee" };
  }

  /** Connects to the running hive, or starts one. Tells the scheduler how that went; never rejects. */
  async ensure(): Promise<void> {
    const { node, onEvent, log } = this.#options;
    try {
      const peer = await this.#adopt() ?? await this.#start();
      await this.#connect(peer);
    } catch (thrown) {
      if (this.#isEnding) return;
      const error = toRbeeError(thrown);
      log.warn("the hive could not be had", { node, code: error.code, error: error.message });
      onEvent({ type: "hiveFailed", node, error });
    }
  }

  #peerAt(base: string): Peer {
    return { program: "rbee-hive", base, token: this.#options.token, caller: "queen-rbee" };
  }

  /** Returns the hive that hive.json names, if it answers and is ours to use; throws when another queen has it. */
  async #adopt(): Promise<Peer | undefined> {
    const running = readRunning(this.#options.hiveFile);
    if (!running) return undefined;
    // The file outlives a killed hive, and its port may be anybody's by now.
    const { isHive = (pid: number) => runsProgram(pid, "rbee-hive") } = this.#options;
    if (isHive(running.pid) === false) return undefined;
    const peer = this.#peerAt(running.url);
    const version = await this.#versionOf(peer);
    if (version === undefined) return undefined;
    if (version !== VERSION) {
      throw new RbeeError("VERSION_MISMATCH", {
        message: `Cannot use the hive at ${running.url}: it is v${version}, queen-rbee is v${VERSION}`,
        details: { "queen-rbee": VERSION, "rbee-hive": version },
      });
    }
    try {
      await this.#renewLease(peer);
    } catch (error) {
      // It shows our home and does not know our token: no hive of ours.
      if (error instanceof RbeeError && error.status === 401) return undefined;
      throw error;
    }
    this.#options.log.info("hive adopted", { url: running.url, pid: running.pid });
    return peer;
  }

  /** Returns the version of our hive there; undefined when nobody answers, or somebody else. */
  async #versionOf(peer: Peer): Promise<string | undefined> {
    try {
      // Without the token: whoever answers there has not yet shown what it is.
      const stranger = { ...peer, token: undefined };
      const options = { deadlineMs: limits.queenProbeMs, attempts: 1 };
      const health = await call(stranger, hiveRoutes.health, options);
      // Of another RBEE_HOME, or none at all: it must not be sent our token.
      return health.home_id === homeId(this.#options.token) ? health.version : undefined;
    } catch {
      return undefined; // nobody, or something else: hive.json is stale
    }
  }

  async #renewLease(peer: Peer): Promise<void> {
    const body = { queen_id: this.#options.queenId, host: this.#options.hostname, version: VERSION };
    await call(peer, hiveRoutes.lease, { body, deadlineMs: limits.leaseRenewMs, attempts: 1 });
  }

  async #start(): Promise<Peer> {
    if (this.#isEnding) throw new RbeeError("SHUTTING_DOWN");
    const former = this.#child;
    // Ours, and it does not answer: it is ending, or stuck. Two would fight for the port.
    if (former && !await within(former.ended, limits.lostWorkerGraceMs)) await former.kill();
    const { home, token, handOverToken, configFile, portFallback, log } = this.#options;
    const command = programCommand("rbee-hive");
    const env: Record<string, string> = { PATH: command.path };
    if (handOverToken) env.RBEE_HIVE_TOKEN = token;
    if (configFile) env.RBEE_CONFIG = configFile;
    const args = [...command.args, "daemon", "--leased", "--detached", ...(portFallback ? ["--port-fallback"] : [])];
    const child = this.#spawn({ exe: command.exe, args, cwd: home, env });
    this.#child = child;
    child.ended.then(() => {
      if (this.#child === child) this.#child = undefined;
    });
    const url = await this.#urlOf(child);
    log.info("hive started", { url, pid: child.pid });
    return this.#peerAt(url);
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

  async #connect(peer: Peer): Promise<void> {
    const { node, onEvent, log } = this.#options;
    const cut = new AbortController();
    const { ended } = await followHive({
      node,
      peer,
      signal: cut.signal,
      // Not before it is told that the hive is there, and not after it is gone.
      onEvent: (event) => this.#connection?.cut === cut ? onEvent(event) : undefined,
      onOdd: (event) => log.warn("the hive said something that cannot be understood", { event }),
    });
    const over = Promise.withResolvers<void>();
    const lose = (error: RbeeError) => {
      if (this.#connection?.cut !== cut) return;
      over.resolve();
      this.#connection = undefined;
      clearInterval(renewal);
      cut.abort(error);
      if (this.#isEnding) return;
      log.warn("hive lost", { node, error: error.message });
      onEvent({ type: "hiveLost", node, error });
    };
    this.#connection = { peer, cut, lose, over: over.promise };
    const renewal = this.#keepLease(peer);
    onEvent({ type: "hiveConnected", node });
    ended.then(lose);
    const died = `Cannot go on: the hive on ${node} died`;
    this.#child?.ended.then(() => lose(new RbeeError("CONNECTION_LOST", { message: died })));
  }

  #keepLease(peer: Peer): number {
    const renew = () =>
      this.#renewLease(peer).catch((error) => {
        // Its own events tell when it is gone; only a hive that now belongs to somebody else is news.
        if (toRbeeError(error).code === "HIVE_LEASED") {
          this.#options.log.error("another queen took the hive", { error });
        }
      });
    void renew();
    return setInterval(renew, limits.leaseRenewMs);
  }

  /** Looks whether the hive still answers, after a call to it broke; the scheduler is told when it does not. */
  async check(): Promise<void> {
    const connection = this.#connection;
    if (!connection || await this.#versionOf(connection.peer) !== undefined) return;
    const message = `Cannot go on: the hive on ${this.#options.node} does not answer`;
    connection.lose(new RbeeError("CONNECTION_LOST", { message }));
  }

  /** Resolves when a hive that said it is shutting down is gone, in bounded time. */
  async untilGone(): Promise<void> {
    if (this.#connection) await within(this.#connection.over, limits.everythingGoneMs);
  }

  /** Ends the hive if it is ours: asked first, then by signals. An adopted one is left as it is. */
  async end(): Promise<void> {
    this.#isEnding = true;
    const child = this.#child;
    const peer = this.#connection?.peer;
    if (child) {
      if (peer) {
        await call(peer, hiveRoutes.shutdown, { deadlineMs: limits.shutdownAckMs, attempts: 1 }).catch(() => {});
      }
      // It ends its workers first, so it gets as long as one of them may need.
      if (!peer || !await within(child.ended, limits.drainMs)) await child.stop();
    }
    this.#connection?.cut.abort(new RbeeError("SHUTTING_DOWN"));
  }
}
