/**
 * `rbee up` and `rbee down`: a queen that stays, in the background.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { call, sleep } from "../runtime/call.ts";
import { endProcess, isAlive, runsProgram } from "../runtime/other_process.ts";
import { join } from "../runtime/path.ts";
import { readRunning, type Running } from "../runtime/running.ts";
import { tellWaitForEnd } from "../runtime/waiting.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { isHiveEnd, showNarration } from "./narration.ts";
import type { Queen } from "./queen_probe.ts";
import { queenPeer, queenToken } from "./queen_probe.ts";
import { findOrStartQueen, type Started } from "./queen_start.ts";

/** Carries out `rbee up`. Returns 0 when a persistent queen answers, also when she did before. */
export async function up(keeper: Keeper, options: { port?: number }): Promise<number> {
  const { render } = keeper;
  await keeper.config();
  const { queen, daemon } = await queenThatStays(keeper, options.port);
  if (options.port !== undefined && Number(new URL(queen.url).port) !== options.port) {
    throw new RbeeError("QUEEN_ALREADY_RUNNING", {
      message: `Cannot start a queen on port ${options.port}: one is running at ${queen.url}`,
      hint: `End her first: rbee down && rbee up --port ${options.port}`,
    });
  }
  await answers(keeper, queen);
  const log = join(keeper.paths.logs, "queen.log");
  const { url, pid, mode, version } = queen;
  if (render.json) await render.value({ started: daemon !== undefined, queen: { url, pid, mode, version, log } });
  else {
    await render.line(`${daemon ? "✓ The queen is up" : "The queen was up already"} at ${url} (pid ${pid})`);
    await render.line(`  log: ${log}`);
  }
  return exitCodes.success;
}

/**
 * Returns the queen that stays, started when there is none. One that ended commands have left ends by herself in a
 * moment, and is waited for. Throws `QUEEN_ALREADY_RUNNING` while a command holds one for itself.
 */
async function queenThatStays(keeper: Keeper, port: number | undefined): Promise<Started> {
  const end = performance.now() + limits.leftQueenMs;
  for (let told = false;; told = true) {
    const started = await findOrStartQueen(keeper, { mode: "persistent", port });
    const { mode, url, pid, info } = started.queen;
    if (mode === "persistent") return started;
    // A command that has just started her shows itself while we wait.
    if ((info?.attached ?? 0) > 0 || performance.now() > end) {
      throw new RbeeError("QUEEN_ALREADY_RUNNING", {
        message: `Cannot start a queen that stays: another command has one for itself at ${url}`,
        details: { pid },
        hint: "Try again when that command has ended",
      });
    }
    if (!told) keeper.render.note("rbee-keeper", "⏳ Waiting for the last command's queen to end");
    await sleep(limits.leftQueenLookMs, keeper.signal);
  }
}

/** `queen.json` is there before everything is: the promise of `up` is that she answers. */
async function answers(keeper: Keeper, queen: Queen): Promise<void> {
  await call(queen.peer, queenRoutes.info, { signal: keeper.signal, deadlineMs: limits.callTimeoutMs });
}

/** Carries out `rbee down`. Returns 0 when nothing runs any more. */
export async function down(keeper: Keeper): Promise<number> {
  const { render } = keeper;
  const running = readRunning(keeper.paths.queenFile);
  if (!running || !isAlive(running.pid) || runsProgram(running.pid, "queen-rbee") === false) {
    if (render.json) await render.value({ stopped: false, queen: null });
    else await render.line("No queen is running.");
    return exitCodes.success;
  }
  {
    await using _told = await tellEnd(keeper, running);
    await askToEnd(keeper, running);
    await untilGone(keeper, running);
  }
  if (render.json) await render.value({ stopped: true, queen: { url: running.url, pid: running.pid } });
  else await render.line("✓ The queen, her hives and their workers have ended");
  return exitCodes.success;
}

/** Shows which hives have ended. A queen that cannot be asked ends without these lines. */
async function tellEnd(keeper: Keeper, running: Running): Promise<AsyncDisposable> {
  const { token } = await queenToken(keeper).catch(() => ({ token: undefined }));
  return await showNarration(keeper, queenPeer(running.url, token), isHiveEnd);
}

/** By HTTP; by a signal where that is not possible: another version, a queen that is stuck, a token that is lost. */
async function askToEnd(keeper: Keeper, running: Running): Promise<void> {
  const { token } = await queenToken(keeper).catch(() => ({ token: undefined }));
  try {
    await call(queenPeer(running.url, token), queenRoutes.shutdown, {
      signal: keeper.signal,
      deadlineMs: limits.shutdownAckMs,
      attempts: 1,
    });
  } catch (error) {
    keeper.signal.throwIfAborted();
    // Where the system does not tell what a process is, only the queen's own refusal shows that it is her.
    const certain = runsProgram(running.pid, "queen-rbee") === true || error instanceof RbeeError && error.status < 500;
    if (!certain) throw error;
    endProcess(running.pid, "SIGTERM");
  }
}

async function untilGone(keeper: Keeper, running: Running): Promise<void> {
  using _telling = tellWaitForEnd((human) => keeper.render.note("rbee-keeper", human));
  for (const end = performance.now() + limits.everythingGoneMs; isAlive(running.pid);) {
    if (performance.now() > end) {
      throw new RbeeError("TIMEOUT", {
        message: `Cannot end the queen: pid ${running.pid} is still there after ${limits.everythingGoneMs / 1_000} s`,
        hint: `End her by force: kill -9 ${running.pid} (her hive and its workers end with her)`,
      });
    }
    await sleep(limits.queenPollMs, keeper.signal);
  }
}
