/**
 * The hive of a node with transport `direct`: an operator started it there, and it is called at its own address. It is
 * never started from here, and ended only when a person says so.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits, ports } from "../protocol/limits.ts";
import type { DirectNode } from "../protocol/node.ts";
import { call, type Peer, sleep, tcpState } from "../runtime/call.ts";
import { type DirectHive, openDirectHive, placeOf, testDirectHive } from "./direct_hive.ts";
import type { HiveAccess, OpenHive, StopResult } from "./hive_access.ts";
import { type LeaseHolder, renewLease } from "./hive_probe.ts";

/** The way to it. */
export class DirectAccess implements HiveAccess {
  readonly #row: DirectNode;
  readonly #holder: LeaseHolder;
  readonly #ending = new AbortController();
  #hive?: DirectHive;

  constructor(row: DirectNode, holder: LeaseHolder) {
    this.#row = row;
    this.#holder = holder;
  }

  /** See `HiveAccess`. Throws what `testDirectHive` throws. */
  async open(say: (human: string) => void): Promise<OpenHive> {
    const { signal } = this.#ending;
    signal.throwIfAborted();
    this.#close();
    const hive = openDirectHive(this.#row);
    say(`🔌 Connecting to ${hive.place}`);
    try {
      await testDirectHive(this.#row, signal);
      await renewLease(hive.peer, this.#holder);
    } catch (error) {
      hive[Symbol.dispose]();
      throw toRbeeError(error);
    }
    this.#hive = hive;
    return { peer: hive.peer, isOurs: false, wasRunning: true, isRemote: true, gone: new Promise(() => {}) };
  }

  /** See `HiveAccess`: by request, there is no other way to it. */
  async stop(): Promise<StopResult> {
    const { signal } = this.#ending;
    using hive = openDirectHive(this.#row);
    await testDirectHive(this.#row, signal);
    await call(hive.peer, hiveRoutes.shutdown, { deadlineMs: limits.shutdownAckMs, attempts: 1, signal });
    if (await this.#refuses(limits.everythingGoneMs)) return "stopped";
    throw new RbeeError("TIMEOUT", { message: `Cannot end the hive at ${hive.place}: it still answers` });
  }

  /** See `HiveAccess`. */
  workerPeer(id: string, url: string): Promise<Peer> {
    if (this.#hive) return Promise.resolve(this.#hive.workerPeer(id, url));
    return Promise.reject(new RbeeError("CONNECTION_LOST", { details: { node: this.#row.node_name } }));
  }

  /** Nothing leads to a worker there but its port. */
  forgetWorker(): void {}

  /** See `HiveAccess`. A machine whose hive has died refuses at once; one that is off or cut off says nothing. */
  async whyGone(): Promise<RbeeError | undefined> {
    const { node_name: node, address, hive_port } = this.#row;
    if (await tcpState(address, hive_port ?? ports.hive, limits.directProbeMs) !== "silent") return undefined;
    return new RbeeError("CONNECTION_LOST", {
      message: `Cannot go on: ${node} does not answer at ${placeOf(this.#row)}`,
      details: { node },
      hint: `Check that ${node} is on and answers: rbee setup test-node --name ${node}`,
    });
  }

  /** Resolves with whether its port refused within that time: silence may be a pulled cable. */
  async #refuses(ms: number): Promise<boolean> {
    const { address, hive_port } = this.#row;
    for (const end = performance.now() + ms; performance.now() < end;) {
      if (await tcpState(address, hive_port ?? ports.hive, limits.directProbeMs) === "refuses") return true;
      await sleep(limits.hivePollMs * 10);
    }
    return false;
  }

  /** Nothing is started there. */
  giveUp(): void {
    this.#ending.abort(new RbeeError("SHUTTING_DOWN"));
  }

  /** See `HiveAccess`. */
  async untilGone(): Promise<void> {
    await this.#refuses(limits.termGraceMs);
  }

  /** See `HiveAccess`: it is its operator's. */
  end(): Promise<void> {
    this.#ending.abort(new RbeeError("SHUTTING_DOWN"));
    this.#close();
    return Promise.resolve();
  }

  #close(): void {
    this.#hive?.[Symbol.dispose]();
    this.#hive = undefined;
  }
}
