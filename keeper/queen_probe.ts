/**
 * Looks for the queen of this RBEE_HOME: what `queen.json` says is a hint, her answer decides. Never starts one.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import { homeId, readToken } from "../runtime/auth.ts";
import { call, type Peer } from "../runtime/call.ts";
import { environment } from "../runtime/environment.ts";
import { isAlive, runsProgram } from "../runtime/other_process.ts";
import { readRunning, type Running } from "../runtime/running.ts";
import { VERSION } from "../runtime/version.ts";
import type { Keeper } from "./keeper.ts";

/** What a queen says of herself. */
export type QueenInfo = AnswerOf<typeof queenRoutes.info>;

/** A queen that answers. */
export interface Queen {
  readonly peer: Peer;
  readonly mode: "ephemeral" | "persistent";
  readonly pid: number;
  readonly url: string;
  readonly version: string;
  /** Where she moved a damaged registry when she started. */
  readonly movedAside?: string;
  /** Absent for one that this keeper has just started. */
  readonly info?: QueenInfo;
}

/** What was found. */
export type Found =
  | { kind: "queen"; queen: Queen }
  | { kind: "none" }
  /** Her process is there, but she takes no connections any more: she is ending. */
  | { kind: "ending"; running: Running };

/** Returns the token for the queen: configured, or the one in RBEE_HOME. */
export async function queenToken(keeper: Keeper): Promise<{ token?: string; configured: boolean }> {
  const given = environment("RBEE_QUEEN_TOKEN");
  if (given) return { token: given, configured: true };
  const file = (await keeper.config()).config.queen.token_file;
  if (file) return { token: readToken(file), configured: true };
  return { token: readToken(keeper.paths.queenToken), configured: false };
}

/** Returns a peer for a queen's address. */
export function queenPeer(base: string, token: string | undefined): Peer {
  return { program: "queen-rbee", base, token, caller: "rbee-keeper" };
}

/**
 * Returns the running queen, or undefined. Throws `VERSION_MISMATCH`, an authentication error, or
 * `CONNECTION_TIMEOUT` when she is there and does not answer.
 */
export async function findQueen(keeper: Keeper): Promise<Queen | undefined> {
  const found = await probeQueen(keeper);
  return found.kind === "queen" ? found.queen : undefined;
}

/** As `findQueen`, but tells an ending queen from none. */
export async function probeQueen(keeper: Keeper): Promise<Found> {
  const chosen = environment("RBEE_QUEEN_URL");
  if (chosen) return { kind: "queen", queen: await askChosen(keeper, chosen) };
  const running = readRunning(keeper.paths.queenFile);
  if (!running) return { kind: "none" };
  const { token, configured } = await queenToken(keeper);
  let info: QueenInfo;
  try {
    info = await askInfo(queenPeer(running.url, configured ? token : undefined), keeper.signal);
  } catch (thrown) {
    keeper.signal.throwIfAborted();
    if (!(thrown instanceof RbeeError)) throw thrown;
    return missing(running, { error: thrown, configured });
  }
  // A stranger on that port: somebody else's queen, or ours from before the token was made anew.
  if (!configured && token !== undefined && info.home_id !== homeId(token)) return { kind: "none" };
  return { kind: "queen", queen: queenOf(queenPeer(running.url, token), info) };
}

/** Returns what a failed question means, or throws it when a queen of ours gave it as her answer. */
function missing(running: Running, { error, configured }: { error: RbeeError; configured: boolean }): Found {
  const refusedUs = /^(MISSING|INVALID)_API_KEY$/.test(error.code);
  if (refusedUs && configured) throw withAddress(error, running.url);
  // Numbers are given anew after a restart of the machine: then the file is from before, and so is the port.
  const alive = isAlive(running.pid) && runsProgram(running.pid, "queen-rbee") !== false;
  if (!alive) return { kind: "none" };
  const isRefused = error.code === "CONNECTION_TIMEOUT" && typeof error.details.attempts === "number";
  if (isRefused || error.code === "CONNECTION_LOST" || error.code === "SHUTTING_DOWN") {
    return { kind: "ending", running };
  }
  if (error.code !== "CONNECTION_TIMEOUT") throw withAddress(error, running.url);
  throw new RbeeError("CONNECTION_TIMEOUT", {
    message: `Cannot use the queen at ${running.url} (pid ${running.pid}): she does not answer`,
    details: error.details,
    hint: "End her with: rbee down",
    cause: error,
  });
}

async function askChosen(keeper: Keeper, url: string): Promise<Queen> {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new RbeeError("CONFIG_INVALID", {
      message: "Cannot use RBEE_QUEEN_URL: it is no http address",
      hint: "Write it as http://127.0.0.1:8080, or unset it",
    });
  }
  const { token, configured } = await queenToken(keeper);
  const peer = queenPeer(url.replace(/\/+$/, ""), configured ? token : undefined);
  try {
    return queenOf(peer, await askInfo(peer, keeper.signal));
  } catch (thrown) {
    throw withAddress(thrown, url);
  }
}

function askInfo(peer: Peer, signal: AbortSignal): Promise<QueenInfo> {
  return call(peer, queenRoutes.info, { signal, deadlineMs: limits.queenProbeMs, attempts: 1 });
}

/** Throws `VERSION_MISMATCH`. */
function queenOf(peer: Peer, info: QueenInfo): Queen {
  if (info.version !== VERSION) {
    throw new RbeeError("VERSION_MISMATCH", {
      message: `Cannot work together: rbee-keeper is v${VERSION}, queen-rbee is v${info.version}`,
      details: { "rbee-keeper": VERSION, "queen-rbee": info.version },
    });
  }
  return {
    peer,
    mode: info.mode,
    pid: info.pid,
    url: peer.base,
    version: info.version,
    movedAside: info.moved_aside,
    info,
  };
}

/** Returns an authentication error with the address of the queen that refused us; anything else, also a hive's, as it is. */
export function withAddress(thrown: unknown, url: string): unknown {
  if (!(thrown instanceof RbeeError) || !/^(MISSING|INVALID)_API_KEY$/.test(thrown.code)) return thrown;
  if (typeof thrown.details.node === "string") return thrown; // it was a hive there that refused the queen
  return new RbeeError(thrown.code, {
    message: thrown.message,
    details: { ...thrown.details, address: url.replace(/^https?:\/\//, "") },
    cause: thrown.cause,
  });
}
