/**
 * The one SSH connection to a node: opened when it is first needed, with the attempts that S14 and S36 show, shared by
 * whoever has something to do there, and opened again after it broke when somebody asks.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";
import type { RemoteResult, RemoteRunOptions, RemoteShell } from "./remote_shell.ts";
import type { SshTarget } from "./ssh_failure.ts";
import { type MasterOptions, SshMaster } from "./ssh_master.ts";

/** How a node is reached. */
export interface LinkOptions {
  readonly node: string;
  readonly target: SshTarget;
  /** Its sockets' folder, see `MasterOptions`. */
  readonly folder: string;
  /** For one attempt. */
  readonly connectMs: number;
  /** Throws why no machine can be reached from here. */
  readonly check?: () => void;
  /** Opens a connection; `SshMaster.open` when absent. */
  readonly open?: (options: MasterOptions) => Promise<SshMaster>;
}

/** Takes one line for a person. */
export type Say = (human: string) => void;

/** The way to one node. */
export class NodeLink implements RemoteShell {
  readonly #options: LinkOptions;
  readonly #closed = new AbortController();
  #master?: SshMaster;
  #opening?: Promise<SshMaster>;
  readonly #listeners = new Set<Say>();

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** The name of the node. */
  get node(): string {
    return this.#options.node;
  }

  /** Returns the connection, opened when there is none; `say` hears of each attempt. Throws `CONNECTION_TIMEOUT` after three of them, or why `ssh` failed. */
  async connect(say?: Say): Promise<SshMaster> {
    if (this.#master?.isUp) return this.#master;
    if (say) this.#listeners.add(say);
    try {
      this.#opening ??= this.#open().finally(() => this.#opening = undefined);
      return await this.#opening;
    } finally {
      if (say) this.#listeners.delete(say);
    }
  }

  async #open(): Promise<SshMaster> {
    const { node, target, folder, connectMs, check, open = SshMaster.open } = this.#options;
    check?.();
    for (let attempt = 1;; attempt++) {
      this.#closed.signal.throwIfAborted();
      const waitMs = limits.connectBackoffMs[attempt - 1];
      if (attempt > 1) await sleep(waitMs, this.#closed.signal);
      this.#tell(attempt, waitMs);
      try {
        this.#master = await open({ node, target, folder, connectMs, signal: this.#closed.signal });
        return this.#master;
      } catch (error) {
        if (!mayAnswerLater(error)) throw error;
        if (attempt >= limits.connectAttempts) throw this.#unreachable(attempt, error);
      }
    }
  }

  #tell(attempt: number, waitMs: number): void {
    const { target, connectMs } = this.#options;
    const delay = attempt > 1 ? `, delay ${waitMs}ms` : "";
    const human = `🔌 Attempt ${attempt}: connecting to ${address(target)} (timeout ${connectMs / 1_000}s${delay})`;
    for (const say of this.#listeners) say(human);
  }

  #unreachable(attempts: number, cause: RbeeError): RbeeError {
    const { node, target } = this.#options;
    return new RbeeError("CONNECTION_TIMEOUT", {
      message: `Cannot connect to ${address(target)} after ${attempts} attempts: ${cause.details.reason}`,
      details: { node, address: address(target), attempts, reason: cause.details.reason },
      hint: `Check that the machine is on and rbee-hive is running on ${node}: rbee setup test-node --name ${node}`,
      cause,
    });
  }

  /** See `RemoteShell`. */
  async run(command: string, options?: RemoteRunOptions): Promise<RemoteResult> {
    return await (await this.connect()).run(command, options);
  }

  /** Makes no further attempts; a connection that stands goes on. */
  giveUp(): void {
    this.#closed.abort(new RbeeError("SHUTTING_DOWN"));
  }

  /** Ends the connection; nothing opens it again. */
  async close(): Promise<void> {
    this.giveUp();
    await this.#opening?.catch(() => {});
    await this.#master?.close();
  }
}

const address = ({ host, port }: SshTarget) => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** A name that does not exist will not exist in 200 ms; a machine that just boots may answer then. */
function mayAnswerLater(error: unknown): error is RbeeError {
  return error instanceof RbeeError && error.code === "SSH_CONNECTION_FAILED" &&
    error.details.reason !== "name not found";
}
