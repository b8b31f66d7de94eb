/**
 * Starts a queen; of many keepers that want to, exactly one does (processes.md P4).
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";
import { environment } from "../runtime/environment.ts";
import { isInstalled, programCommand } from "../runtime/executables.ts";
import { endProcess, isAlive } from "../runtime/other_process.ts";
import { join } from "../runtime/path.ts";
import { prepareHome } from "../runtime/paths.ts";
import { type Daemon, startDaemon, within } from "../runtime/process.ts";
import { readRunning, type Running } from "../runtime/running.ts";
import { bootError } from "./boot_log.ts";
import type { Keeper } from "./keeper.ts";
import { warnMovedAside } from "./moved_aside.ts";
import { probeQueen, type Queen, queenPeer, queenToken } from "./queen_probe.ts";

/** A queen, and her process when this keeper has started it. */
export interface Started {
  readonly queen: Queen;
  readonly daemon?: Daemon;
}

/** What kind of queen is wanted when none is there. */
export interface Wish {
  readonly mode: "ephemeral" | "persistent";
  readonly port?: number;
  /** She has no hive ready before one is needed. */
  readonly idle?: boolean;
}

/** Returns the running queen, or a new one. Throws `QUEEN_START_FAILED`, `HOME_NOT_WRITABLE` and what `findQueen` throws. */
export async function findOrStartQueen(keeper: Keeper, wish: Wish): Promise<Started> {
  const first = await probeQueen(keeper);
  if (first.kind === "queen") return { queen: first.queen };
  // Only now: a queen that runs serves on, however full the disk is.
  const home = prepareHome(keeper.paths);
  using lock = await startLock(keeper);
  void lock;
  for (let attempt = 0; attempt < limits.queenAttemptsMax; attempt++) {
    const found = await probeQueen(keeper);
    if (found.kind === "queen") return { queen: found.queen };
    if (found.kind === "none") return await startQueen(keeper, { ...wish, home });
    await untilGone(keeper, found.running);
  }
  throw new RbeeError("QUEEN_START_FAILED", {
    message: "Cannot start a queen: another one does not finish ending",
    hint: "Try again in a moment, or end it: rbee down",
  });
}

/** Returns the lock under which a queen is started, once it is ours. The kernel frees it however we end. */
async function startLock(keeper: Keeper): Promise<Deno.FsFile> {
  const path = join(keeper.paths.home, "queen.start.lock");
  const file = await Deno.open(path, { create: true, write: true, mode: 0o600 });
  // Whoever holds it starts a queen, or waits for one that ends: both are bounded.
  const late = AbortSignal.timeout(limits.queenStartMs + limits.everythingGoneMs);
  try {
    await Promise.race([file.lock(true), aborted(AbortSignal.any([keeper.signal, late]))]);
    return file;
  } catch (error) {
    file.close();
    keeper.signal.throwIfAborted();
    throw new RbeeError("QUEEN_START_FAILED", {
      message: "Cannot start a queen: another command is starting one and does not finish",
      hint: "Try again in a moment; `rbee logs --program queen` tells more",
      cause: error,
    });
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Resolves when the queen that is ending has ended. Throws when she does not. */
async function untilGone(keeper: Keeper, running: Running): Promise<void> {
  keeper.render.note("rbee-keeper", "⏳ Waiting for the last queen to end");
  const end = performance.now() + limits.everythingGoneMs;
  while (isAlive(running.pid)) {
    if (performance.now() > end) {
      throw new RbeeError("QUEEN_START_FAILED", {
        message: `Cannot start a queen: the one with pid ${running.pid} takes no requests and does not end`,
        hint: "End her with: rbee down",
      });
    }
    await sleep(limits.queenPollMs * 2, keeper.signal);
  }
}

async function startQueen(keeper: Keeper, wish: Wish & { home: string }): Promise<Started> {
  const command = programCommand("queen-rbee");
  if (!isInstalled(command)) {
    throw new RbeeError("QUEEN_START_FAILED", {
      message: `Cannot start the queen: ${command.exe} is not there`,
      hint: "Put the four programs into one folder: `deno task compile` makes them",
    });
  }
  removeStale(keeper.paths.queenFile);
  const bootLog = bootLogOf(keeper);
  const daemon = startDaemon({
    exe: command.exe,
    args: [...command.args, ...daemonArgs(wish)],
    cwd: wish.home,
    env: { PATH: command.path, ...tokens() },
    bootLog,
  });
  keeper.render.note("rbee-keeper", "👑 Starting a queen");
  try {
    const running = await untilUp(keeper, daemon, bootLog);
    const { token } = await queenToken(keeper);
    const { pid, url, version, moved_aside: movedAside } = running;
    const queen = { peer: queenPeer(url, token), mode: wish.mode, pid, url, version, movedAside };
    warnMovedAside(keeper, queen); // whoever starts her may be the only one who ever meets her
    return { queen, daemon };
  } catch (error) {
    await endDaemon(daemon);
    throw error;
  }
}

function daemonArgs(wish: Wish): string[] {
  const port = wish.port === undefined ? [] : ["--port", String(wish.port)];
  const idle = wish.idle ? ["--idle"] : [];
  return ["daemon", ...(wish.mode === "ephemeral" ? ["--ephemeral"] : []), ...idle, "--detached", ...port];
}

/** Returns where a queen writes before her own log is open. */
export function bootLogOf(keeper: Keeper): string {
  return join(keeper.paths.logs, "queen.boot.log");
}

/** Keys are taken out of what a child inherits; these two are meant for her. */
function tokens(): Record<string, string> {
  const names = ["RBEE_QUEEN_TOKEN", "RBEE_HIVE_TOKEN"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = environment(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

function removeStale(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // not there, as usual
  }
}

/** Returns what the queen published. She is ours by her number: nobody else needs to be asked. */
async function untilUp(keeper: Keeper, daemon: Daemon, bootLog: string): Promise<Running> {
  let ended: string | undefined;
  daemon.ended.then((how) => ended = how);
  const end = performance.now() + limits.queenStartMs;
  while (performance.now() < end) {
    const running = readRunning(keeper.paths.queenFile);
    if (running && running.pid === daemon.pid) return running;
    if (ended !== undefined) throw bootError(bootLog, `she ended with ${ended}`);
    await sleep(limits.queenPollMs, keeper.signal);
  }
  throw bootError(bootLog, `she was not ready after ${limits.queenStartMs / 1_000} s`);
}

/** Ends a queen that this keeper has started: SIGTERM, and SIGKILL when she takes longer than she may. */
export async function endDaemon(daemon: Daemon): Promise<void> {
  if (daemon.pid === undefined) return;
  if (!endProcess(daemon.pid, "SIGTERM")) return;
  if (await within(daemon.ended, limits.everythingGoneMs)) return;
  // Her hive and its workers end with her, however she ends.
  endProcess(daemon.pid, "SIGKILL");
  await within(daemon.ended, limits.queenProbeMs);
}
