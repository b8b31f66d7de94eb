/**
 * The lease of a hive that a queen started: when she stops renewing it, she is gone, and the hive ends itself.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";

/** Who renews. */
export interface LeaseHolder {
  readonly queen_id: string;
  readonly host: string;
}

/** How a lease behaves. `now` is monotonic, in milliseconds: a clock that is set must not end a hive. */
export interface LeaseOptions {
  /** False for a hive that an operator started: it has no lease, and every queen may use it. */
  readonly leased: boolean;
  readonly leaseMs?: number;
  readonly now?: () => number;
}

/** Who holds this hive, and since when nothing was heard. */
export class Lease {
  readonly leaseMs: number;
  readonly #leased: boolean;
  readonly #now: () => number;
  #holder?: LeaseHolder;
  #renewedAt: number;

  constructor(options: LeaseOptions) {
    this.leaseMs = options.leaseMs ?? limits.leaseMs;
    this.#leased = options.leased;
    this.#now = options.now ?? (() => performance.now());
    this.#renewedAt = this.#now();
  }

  /** Whether this hive ends when its lease is over. */
  get isLeased(): boolean {
    return this.#leased;
  }

  /** Takes or renews the lease. Throws `HIVE_LEASED` while another queen holds it. */
  renew(queen: LeaseHolder): void {
    if (!this.#leased) return;
    if (this.#holder && this.#holder.queen_id !== queen.queen_id && !this.isOver()) {
      throw new RbeeError("HIVE_LEASED", {
        message: `Cannot use this hive: a queen on ${this.#holder.host} holds it`,
        details: { host: this.#holder.host, expires_in_ms: Math.ceil(this.#renewedAt + this.leaseMs - this.#now()) },
        hint: `Stop the queen on ${this.#holder.host} first, or wait until its lease is over`,
      });
    }
    this.#holder = queen;
    this.#renewedAt = this.#now();
  }

  /** Whether nobody renewed it in time; never for a hive without a lease. */
  isOver(): boolean {
    return this.#leased && this.#now() - this.#renewedAt >= this.leaseMs;
  }
}
