/**
 * The requests that run now, by id: how one of them, or all, are told to end.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";

/** Why a request was ended before its text was. */
export type EndedBy = "cancelled" | "client-left" | "stop-string" | "shutdown";

/** One running request. Disposing it forgets it. */
export class Running implements Disposable {
  readonly id: string;
  readonly #controller = new AbortController();
  readonly #forget: () => void;
  #endedBy?: EndedBy;

  constructor(id: string, forget: () => void) {
    this.id = id;
    this.#forget = forget;
  }

  /** Aborted when it is to end; the engine listens. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it was told to end: the first reason stands. */
  get endedBy(): EndedBy | undefined {
    return this.#endedBy;
  }

  /** Tells it to end. */
  end(by: EndedBy): void {
    if (this.#endedBy) return;
    this.#endedBy = by;
    this.#controller.abort(new RbeeError(by === "shutdown" ? "SHUTTING_DOWN" : "REQUEST_CANCELED"));
  }

  [Symbol.dispose](): void {
    this.#forget();
  }
}

/** All running requests of this worker. */
export class Requests {
  readonly #running = new Map<string, Running>();
  #whenNone = Promise.withResolvers<void>();

  /** How many run now. */
  get count(): number {
    return this.#running.size;
  }

  /** Registers a request. Throws `INVALID_REQUEST` when one of that id runs already. */
  begin(id: string): Running {
    if (this.#running.has(id)) {
      throw new RbeeError("INVALID_REQUEST", {
        message: "Cannot accept the request: one with this request_id runs already",
        details: {
          errors: [{ field: "request_id", constraint: "unique", message: "request_id: a request of this id runs" }],
        },
      });
    }
    const running = new Running(id, () => this.#forget(id));
    this.#running.set(id, running);
    return running;
  }

  /** Cancels a request; one that is unknown has ended already, which is as good. */
  cancel(id: string): void {
    this.#running.get(id)?.end("cancelled");
  }

  /** Ends all. */
  endAll(by: EndedBy): void {
    for (const running of this.#running.values()) running.end(by);
  }

  /** Resolves when none runs: at once, or when the last one has ended. */
  whenNone(): Promise<void> {
    return this.#running.size === 0 ? Promise.resolve() : this.#whenNone.promise;
  }

  #forget(id: string): void {
    if (!this.#running.delete(id) || this.#running.size > 0) return;
    this.#whenNone.resolve();
    this.#whenNone = Promise.withResolvers();
  }
}
