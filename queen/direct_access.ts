/**
 * The hive of a node with transport `direct`: an operator started it there, and it is called at its own address. It is
 * never started or ended from here.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits, ports } from "../protocol/limits.ts";
import type { DirectNode } from "../protocol/node.ts";
import { type Peer, tcpAnswers } from "../runtime/call.ts";
import { type DirectHive, openDirectHive, placeOf, testDirectHive } from "./direct_hive.ts";
import type { HiveAccess, OpenHive } from "./hive_access.ts";
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
    return { peer: hive.peer, isOurs: false, isRemote: true, gone: new Promise(() => {}) };
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
    if (await tcpAnswers(address, hive_port ?? ports.hive, limits.directProbeMs)) return undefined;
    return new RbeeError("CONNECTION_LOST", {
      message: `Cannot go on: ${node} does not answer at ${placeOf(this.#row)}`,
      details: { node },
      hint: `Check that ${node} is on and answers: rbee setup test-node --name ${node}`,
    });
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
