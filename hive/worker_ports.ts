/**
 * Ports for workers: the first one of the configured range that is really free, and never one twice.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";

/** The range, ends included, and the address on which workers listen. */
export interface WorkerPortsOptions {
  readonly start: number;
  readonly end: number;
  readonly hostname: string;
}

/** Which ports this hive's workers have. */
export class WorkerPorts {
  readonly #options: WorkerPortsOptions;
  readonly #taken = new Set<number>();

  constructor(options: WorkerPortsOptions) {
    this.#options = options;
  }

  /**
   * Returns a free port that is none of `tried`. Another program may still take it before the worker does: then
   * it is asked again with that port among `tried`. Throws `INSUFFICIENT_RESOURCES` when the range is used up.
   */
  take(tried: ReadonlySet<number> = new Set()): number {
    const { start, end } = this.#options;
    for (let port = start; port <= end; port++) {
      if (this.#taken.has(port) || tried.has(port) || !this.isFree(port)) continue;
      this.#taken.add(port);
      return port;
    }
    throw new RbeeError("INSUFFICIENT_RESOURCES", {
      message: `Cannot start a worker: no port from ${start} to ${end} is free`,
      details: { port_start: start, port_end: end },
      hint: "Widen [workers] port_start and port_end in config.toml, or stop a worker: `rbee workers list`",
    });
  }

  /** Gives a port back. */
  release(port: number): void {
    this.#taken.delete(port);
  }

  /** Returns whether nobody listens on this port now. */
  isFree(port: number): boolean {
    try {
      Deno.listen({ hostname: this.#options.hostname, port }).close();
      return true;
    } catch {
      return false; // in use, or below what this user may take: not ours either way
    }
  }
}
