/**
 * One node's hive, however it is had: connected, its lease renewed, its events followed, and ended with us when it is
 * ours. Whether and when it is wanted the scheduler decides.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { call, type Peer } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import { within } from "../runtime/process.ts";
import { VERSION } from "../runtime/version.ts";
import type { HiveAccess, OpenHive, StopResult } from "./hive_access.ts";
import { followHive } from "./hive_events.ts";
import { hiveVersion, type LeaseHolder, renewLease } from "./hive_probe.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";

/** What is needed to have a hive. */
export interface HiveControlOptions {
  readonly node: string;
  readonly access: HiveAccess;
  readonly holder: LeaseHolder;
  readonly log: Log;
  readonly onEvent: (event: SchedulerEvent) => void;
}

/** What a connected hive is. */
export interface HiveFacts {
  readonly version: string;
  readonly pid?: number;
  readonly port: number;
  /** Whether it ends with us. */
  readonly leased: boolean;
  /** Whether it ran before we came. */
  readonly wasRunning: boolean;
}

interface Connection {
  readonly hive: OpenHive;
  readonly cut: AbortController;
  /** Ends it, and tells the scheduler. */
  readonly lose: (error: RbeeError, unreachable?: boolean) => void;
  /** Ends it, and tells nobody. */
  readonly drop: () => void;
  /** Resolves when it has ended. */
  readonly over: Promise<void>;
}

/** The way to one hive, and what goes over it. */
export class HiveControl {
  readonly #options: HiveControlOptions;
  #connection?: Connection;
  #isEnding = false;
  /** While it is being ended on purpose. */
  #isStopping = false;
  /** A start and a stop at once would hinder each other: each waits for the one before. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Counts the stops: whoever wanted the hive before one of them does not start it again after it. */
  #stops = 0;
  /** Somebody who wanted the hive hears of the stop that came after. */
  #isOverruled = false;
  /** Opened when we were ending already: nobody follows it, and it has to end as well. */
  #late?: OpenHive;

  constructor(options: HiveControlOptions) {
    this.#options = options;
  }

  /** The hive while it answers. */
  get peer(): Peer | undefined {
    return this.#connection?.hive.peer;
  }

  /** Whether the hive that answers ends with us. */
  get isOurs(): boolean {
    return this.#connection?.hive.isOurs ?? false;
  }

  /** What the hive that answers is; undefined while none does. Its version is ours, else it would not be used. */
  get facts(): HiveFacts | undefined {
    const hive = this.#connection?.hive;
    if (!hive) return undefined;
    const { pid, wasRunning, isOurs } = hive;
    return { pid, wasRunning, leased: isOurs, version: VERSION, port: Number(new URL(hive.peer.base).port) };
  }

  /** Returns a worker of this hive as a peer. Throws `CONNECTION_LOST`. */
  async workerPeer(id: string, url: string): Promise<Peer> {
    return await this.#options.access.workerPeer(id, url);
  }

  /** Returns why the way to this node is gone, shortly after something there broke; undefined while it stands. */
  whyGone(): Promise<RbeeError | undefined> {
    return this.#options.access.whyGone();
  }

  /** Connects to the running hive, or starts one. Tells the scheduler how that went; never rejects. */
  ensure(): Promise<void> {
    const stops = this.#stops;
    return this.#inTurn(async () => {
      if (stops === this.#stops) await this.#ensure();
      else this.#isOverruled = true;
    });
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(act);
    this.#turn = mine.catch(() => {}); // told to whoever asked for it
    return mine;
  }

  async #ensure(): Promise<void> {
    const { node, access, onEvent, log } = this.#options;
    if (this.#isEnding) return;
    try {
      const hive = await access.open((human) => this.#say(human));
      if (this.#isEnding) this.#late = hive;
      else await this.#connect(hive);
    } catch (thrown) {
      if (this.#isEnding) return;
      const error = toRbeeError(thrown);
      log.warn("the hive could not be had", { node, code: error.code, error: error.message });
      onEvent({ type: "hiveFailed", node, error });
    }
  }

  #say(human: string): void {
    const { node, onEvent } = this.#options;
    const narration = { actor: "queen-rbee", action: "hive-connect", target: node, human };
    onEvent({ type: "hiveNarration", node, narration });
  }

  async #connect(hive: OpenHive): Promise<void> {
    const { node, access, onEvent, log } = this.#options;
    const cut = new AbortController();
    const { ended } = await followHive({
      node,
      peer: hive.peer,
      signal: cut.signal,
      onEvent: (event) => {
        // Not before it is told that the hive is there, and not after it is gone.
        if (this.#connection?.cut !== cut) return;
        if (event.type === "workerGone") access.forgetWorker(event.gone.worker_id);
        onEvent(event);
      },
      onOdd: (event) => log.warn("the hive said something that cannot be understood", { event }),
    });
    this.#connection?.drop(); // whoever asked for the hive again does not believe in that one
    const over = Promise.withResolvers<void>();
    const drop = () => {
      this.#connection = undefined;
      clearInterval(renewal);
      cut.abort(new RbeeError("CONNECTION_LOST"));
      over.resolve();
    };
    const lose = (error: RbeeError, unreachable = false) => {
      if (this.#connection?.cut !== cut) return;
      drop();
      if (this.#isEnding || this.#isStopping) return;
      log.warn("hive lost", { node, error: error.message });
      onEvent({ type: "hiveLost", node, error, unreachable });
    };
    this.#connection = { hive, cut, lose, drop, over: over.promise };
    const wayGone = async () => {
      const error = await access.whyGone();
      if (error) lose(error, true);
      return error !== undefined;
    };
    const renewal = this.#keepLease(hive.peer, wayGone);
    onEvent({ type: "hiveConnected", node });
    // What broke the way there says more than that the events ended.
    ended.then(async (error) => await wayGone() || lose(error));
    hive.gone.then((error) => lose(error, hive.isRemote));
  }

  #keepLease(peer: Peer, wayGone: () => Promise<boolean>): number {
    const renew = () =>
      renewLease(peer, this.#options.holder).catch(async (thrown) => {
        const { code } = toRbeeError(thrown);
        if (code === "HIVE_LEASED") this.#options.log.error("another queen took the hive", { error: thrown });
        // Its own events tell when it is gone; of a pulled cable nobody tells.
        if (code.startsWith("CONNECTION_")) await wayGone();
      });
    void renew();
    return setInterval(renew, limits.leaseRenewMs);
  }

  /** Looks whether the hive still answers, after a call to it broke; the scheduler is told when it does not. */
  async check(): Promise<void> {
    const connection = this.#connection;
    if (!connection) return;
    if (await hiveVersion(connection.hive.peer).catch(() => undefined) !== undefined) return;
    const message = `Cannot go on: the hive on ${this.#options.node} does not answer`;
    connection.lose(await this.whyGone() ?? new RbeeError("CONNECTION_LOST", { message }));
  }

  /** Resolves when a hive that said it is shutting down is gone, in bounded time. */
  async untilGone(): Promise<void> {
    if (this.#connection) await within(this.#connection.over, limits.everythingGoneMs);
  }

  /**
   * Ends the hive, whoever started it: by request when it is connected, else by whatever its access has. Resolves when
   * it is gone, and the scheduler knows that it is not to come back by itself. Throws why it cannot be ended.
   */
  stopHive(): Promise<StopResult> {
    this.#stops++;
    return this.#inTurn(async () => {
      const { node, onEvent, log } = this.#options;
      const had = this.#connection;
      this.#isStopping = true;
      try {
        const how = await this.#stop();
        const error = new RbeeError("NODE_UNREACHABLE", {
          message: `Cannot go on: the hive on ${node} was stopped`,
          details: { node },
          hint: `Start it again: rbee hive start --node ${node}`,
        });
        this.#connection?.lose(error);
        log.info("hive stopped", { node, how });
        onEvent({ type: "hiveReleased", node, error });
        return how;
      } catch (thrown) {
        // The way broke meanwhile, of which nobody was told; or nobody else answers those who wanted it before.
        const error = toRbeeError(thrown);
        if (had && !this.#connection) onEvent({ type: "hiveLost", node, error, unreachable: true });
        else if (this.#isOverruled) onEvent({ type: "hiveFailed", node, error });
        throw error;
      } finally {
        this.#isStopping = false;
        this.#isOverruled = false;
      }
    });
  }

  async #stop(): Promise<StopResult> {
    const { access } = this.#options;
    const connection = this.#connection;
    const isAsked = connection !== undefined && await this.#ask(connection.hive.peer);
    // What does not take the request, or does not finish, is ended from its machine.
    if (isAsked && await within(connection.over, limits.everythingGoneMs)) {
      await access.untilGone(); // its last words come a little before its end
      return "stopped";
    }
    const how = await access.stop((human) => this.#say(human));
    return how === "none" && connection ? "stopped" : how;
  }

  /** Ends the hive if it is ours: asked first, then by whatever its access has. An adopted one is left as it is. */
  async end(): Promise<void> {
    this.#isEnding = true;
    const { access } = this.#options;
    access.giveUp();
    // A hive that is just being started would be left behind, until its lease is over.
    await within(this.#turn, limits.termGraceMs);
    const connection = this.#connection;
    const hive = connection?.hive ?? this.#late;
    const isOurs = hive?.isOurs ?? false;
    const asked = hive && isOurs ? await this.#ask(hive.peer) : false;
    await access.end({ isOurs, asked, over: connection?.over ?? Promise.resolve() });
    this.#connection?.lose(new RbeeError("SHUTTING_DOWN"));
  }

  async #ask(peer: Peer): Promise<boolean> {
    try {
      await call(peer, hiveRoutes.shutdown, { deadlineMs: limits.shutdownAckMs, attempts: 1 });
      return true;
    } catch {
      return false;
    }
  }
}
