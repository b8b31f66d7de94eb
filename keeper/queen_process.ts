/**
 * The queen for one command: found or started, held alive while the command runs, ended when she was started for it.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { localNodeName } from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { call, callStream, sleep } from "../runtime/call.ts";
import { isAlive } from "../runtime/other_process.ts";
import { removeLeftovers } from "../runtime/leftovers.ts";
import type { Paths } from "../runtime/paths.ts";
import { type Daemon, within } from "../runtime/process.ts";
import type { Keeper } from "./keeper.ts";
import { isHiveEnd, showNarration } from "./narration.ts";
import { findQueen, type Queen, withAddress } from "./queen_probe.ts";
import { endDaemon, findOrStartQueen } from "./queen_start.ts";

/** A queen in use. */
export class QueenSession implements AsyncDisposable {
  readonly queen: Queen;
  readonly #daemon?: Daemon;
  readonly #attach = new AbortController();
  #isAttached = false;
  /** Resolves when an ephemeral queen knows of us, at once for others. Rejects with the reason. */
  readonly attached: Promise<void>;

  readonly #keeper: Keeper;

  constructor(keeper: Keeper, queen: Queen, daemon?: Daemon) {
    this.#keeper = keeper;
    this.queen = queen;
    this.#daemon = daemon;
    this.attached = queen.mode === "ephemeral" ? this.#hold() : Promise.resolve();
    this.attached.catch(() => {}); // whoever waits for it hears of it
  }

  async #hold(): Promise<void> {
    const stream = await callStream(this.queen.peer, queenRoutes.attach, { signal: this.#attach.signal });
    this.#isAttached = true;
    void drain(stream.body);
  }

  /** Lets go of the queen; whoever started her also ends her, unless other keepers hold her. */
  async [Symbol.asyncDispose](): Promise<void> {
    const isOurs = this.#daemon !== undefined && this.queen.mode === "ephemeral";
    const { attached, hives } = isOurs ? await this.#inUse() : { attached: 0, hives: [] };
    const ends = isOurs && attached <= (this.#isAttached ? 1 : 0);
    // With several machines this takes a moment, and a person wants to see which one it is.
    const told = ends && hives.some((node) => node !== localNodeName)
      ? await showNarration(this.#keeper, this.queen.peer, isHiveEnd)
      : undefined;
    this.#attach.abort(new RbeeError("REQUEST_CANCELED"));
    if (!ends) return;
    await endDaemon(this.#daemon!);
    await told?.[Symbol.asyncDispose]();
    await tidyUp(this.#keeper.paths, this.#daemon!);
  }

  async #inUse(): Promise<{ attached: number; hives: readonly string[] }> {
    try {
      return await call(this.queen.peer, queenRoutes.info, { deadlineMs: limits.queenProbeMs, attempts: 1 });
    } catch {
      return { attached: 0, hives: [] }; // she does not answer: nobody else can be using her
    }
  }
}

/** Removes what a queen or a hive that was killed could not. What hung on a killed queen follows her in a moment. */
async function tidyUp(paths: Paths, { ended }: Daemon): Promise<void> {
  const endedWell = await within(ended, 0) && await ended === "exit code 0";
  const waitMs = endedWell ? 0 : limits.leftoversMs;
  for (const end = performance.now() + waitMs; removeLeftovers(paths) > 0 && performance.now() < end;) {
    await sleep(limits.queenPollMs);
  }
}

/** Keeps a stream flowing until it ends; nothing in it matters. */
async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  try {
    for await (const piece of body) void piece;
  } catch {
    // cut, by us or by the queen's end: the task's own stream tells
  }
}

/**
 * Runs `use` with a queen, started when none is there. A queen of another keeper that ends just then is replaced by a
 * new one, as long as `use` says by `RetryElsewhere` that nothing was lost by it. With `idle` she starts no hive.
 */
export async function withQueen<T>(
  keeper: Keeper,
  use: (session: QueenSession) => Promise<T>,
  { idle = false }: { idle?: boolean } = {},
): Promise<T> {
  for (let attempt = 1;; attempt++) {
    const { queen, daemon } = await findOrStartQueen(keeper, { mode: "ephemeral", idle });
    try {
      await using session = new QueenSession(keeper, queen, daemon);
      return await use(session);
    } catch (thrown) {
      if (!(thrown instanceof RetryElsewhere)) throw withAddress(thrown, queen.url);
      const isShared = queen.mode === "ephemeral" && daemon === undefined;
      if (attempt >= limits.queenAttemptsMax || !isShared) throw thrown.cause;
    }
    await untilEnded(keeper, queen.pid);
  }
}

/** Thrown when a queen ended before she had given anything. */
export class RetryElsewhere extends Error {
  override readonly name = "RetryElsewhere";
  constructor(override readonly cause: unknown) {
    super("the queen was just ending");
  }
}

async function untilEnded(keeper: Keeper, pid: number): Promise<void> {
  const end = performance.now() + limits.everythingGoneMs;
  while (isAlive(pid) && performance.now() < end) await sleep(limits.queenPollMs, keeper.signal);
}

/** Returns the running queen for a command that never starts one. Throws `QUEEN_NOT_RUNNING`. */
export async function runningQueen(keeper: Keeper): Promise<Queen> {
  const queen = await findQueen(keeper);
  if (queen) return queen;
  throw new RbeeError("QUEEN_NOT_RUNNING");
}
