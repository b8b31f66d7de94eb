/**
 * Child processes: started so that they cannot outlive us, watched, and stopped by one ladder. The only place in rbee
 * that starts a process. What is behind each rule was measured: a SIGKILLed parent leaves nothing for 8 ms.
 *
 * @module
 */
import { spawn as nodeSpawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { limits } from "../protocol/limits.ts";
import { childEnvironment } from "./environment.ts";

/** How a process ended. `cause` is written once, by whoever was first. */
export interface Ended {
  readonly code: number;
  readonly signal: string | null;
  /** `exited` by itself, `terminated` or `killed` by us. */
  readonly cause: "exited" | "terminated" | "killed";
}

/** What to start. */
export interface ChildOptions {
  exe: string;
  args: string[];
  cwd: string;
  /** Added to our own environment, from which keys and library paths were taken out. */
  env?: Record<string, string>;
  /** Every piece of its stdout and stderr. */
  onOutput?: (piece: Uint8Array) => void;
}

/** A running child. */
export interface Child {
  readonly pid: number;
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<Ended>;
  /** The last of what it wrote. */
  tail(): string;
  /** SIGTERM, and SIGKILL when `graceMs` is over. Resolves when it is gone. */
  stop(graceMs?: number): Promise<Ended>;
  /** SIGKILL at once. Resolves when it is gone. */
  kill(): Promise<Ended>;
}

const tailBytesMax = 16 * 1024;

/**
 * Starts a child that ends with us: it holds our pid and a pipe from us as its stdin (see `parent.ts`). It has its own
 * process group, so a Ctrl+C at the terminal is ours to pass on. Throws what `Deno.Command` throws when it cannot start.
 */
export function startChild(options: ChildOptions): Child {
  const process = new Deno.Command(options.exe, {
    args: options.args,
    cwd: options.cwd,
    clearEnv: true,
    env: childEnvironment(options.env),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  let tail = new Uint8Array(0);
  const onPiece = (piece: Uint8Array) => {
    tail = lastBytes(tail, piece);
    options.onOutput?.(piece);
  };
  let cause: Ended["cause"] = "exited";
  const status = process.status;
  const output = Promise.all([drain(process.stdout, status, onPiece), drain(process.stderr, status, onPiece)]);
  const ended = status.then(async (s): Promise<Ended> => {
    await output;
    process.stdin.close().catch(() => {}); // it is gone; the pipe is all that is left
    return { code: s.code, signal: s.signal, cause };
  });
  const send = (signal: Deno.Signal, why: Ended["cause"]) => {
    try {
      process.kill(signal);
      cause = why;
    } catch {
      // "Child process has already terminated": then `ended` says how
    }
  };
  return {
    pid: process.pid,
    ended,
    tail: () => new TextDecoder().decode(tail),
    kill: () => (send("SIGKILL", "killed"), ended),
    async stop(graceMs = limits.termGraceMs) {
      send("SIGTERM", "terminated");
      if (await within(ended, graceMs)) return ended;
      send("SIGKILL", "killed");
      return await ended;
    },
  };
}

/** Returns whether a promise settled within that time. */
export async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: number | undefined;
  const late = new Promise<false>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([promise.then(() => true, () => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

function lastBytes(before: Uint8Array<ArrayBuffer>, piece: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(before.length + piece.length);
  all.set(before);
  all.set(piece, before.length);
  return all.subarray(Math.max(0, all.length - tailBytesMax));
}

/** Reads a pipe to its end, or until shortly after the child ended: a grandchild may hold it open for ever. */
async function drain(pipe: ReadableStream<Uint8Array>, ended: Promise<unknown>, onPiece: (p: Uint8Array) => void) {
  const reader = pipe.getReader();
  const all = (async () => {
    for (let step = await reader.read(); !step.done; step = await reader.read()) onPiece(step.value);
  })().catch(() => {}); // the pipe broke: as good as its end
  await Promise.race([all, ended]);
  await within(all, 200);
  reader.cancel().catch(() => {});
}

/** What to start so that it stays. */
export interface DaemonOptions {
  exe: string;
  args: string[];
  cwd: string;
  env?: Record<string, string>;
  /** Receives what it says before its own log is open; begun anew at each start. */
  bootLog: string;
}

/** A started daemon; it is nobody's child any more when we end. */
export interface Daemon {
  readonly pid: number | undefined;
  /** Resolves with a reason when it ends while we still watch. */
  readonly ended: Promise<string>;
}

/**
 * Starts a process that outlives us: own session, no terminal, output to a file. By `node:child_process`, because
 * `Deno.Command` cannot hand a file descriptor to a child and a shell is not to be started for it.
 */
export function startDaemon(options: DaemonOptions): Daemon {
  const log = openSync(options.bootLog, "w", 0o600);
  const env = childEnvironment(options.env);
  delete env.RBEE_PARENT_PID;
  const child = nodeSpawn(options.exe, options.args, {
    cwd: options.cwd,
    env,
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
    child.once("error", (error) => resolve(error.message));
  });
  if (child.pid !== undefined) child.unref(); // of a missing program `unref` throws
  return { pid: child.pid, ended };
}

/** What a short command gave. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a short command is run. */
export interface RunOptions {
  timeoutMs?: number;
  bytesMax?: number;
  signal?: AbortSignal;
  cwd?: string;
  /** Its standard input, closed behind it. Absent: none. */
  input?: string | ReadableStream<Uint8Array>;
  /** Every piece of its stdout, as it comes. */
  onStdout?: (text: string) => void;
}

/**
 * Runs a short command to its end, without a shell. Returns undefined when the program is missing or may not run.
 * Its output is cut at `bytesMax`, its time at `timeoutMs` (then killed, code 137).
 */
export async function runOnce(exe: string, args: string[], options: RunOptions = {}): Promise<Output | undefined> {
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command(exe, {
      args,
      cwd: options.cwd,
      clearEnv: true,
      env: childEnvironment(),
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch {
    return undefined; // not found or not permitted: callers ask "is it there?" by this
  }
  const kill = () => {
    try {
      process.kill("SIGKILL");
    } catch {
      // already gone
    }
  };
  const timer = setTimeout(kill, options.timeoutMs ?? limits.probeTimeoutMs);
  options.signal?.addEventListener("abort", kill, { once: true });
  if (options.signal?.aborted) kill();
  if (options.input !== undefined) void feed(process, options.input);
  const collect = async (pipe: ReadableStream<Uint8Array>, onText?: (text: string) => void) => {
    const max = options.bytesMax ?? limits.probeOutputBytesMax;
    const decoder = new TextDecoder();
    let text = "";
    await drain(pipe, process.status, (piece) => {
      const more = decoder.decode(piece, { stream: true });
      onText?.(more);
      if (text.length < max) text += more;
    });
    return text;
  };
  const [status, stdout, stderr] = await Promise.all([
    process.status,
    collect(process.stdout, options.onStdout),
    collect(process.stderr),
  ]);
  clearTimeout(timer);
  options.signal?.removeEventListener("abort", kill);
  return { code: status.code, stdout, stderr };
}

/** A command may end before it has read everything: its exit code says whether that was right. */
async function feed(process: Deno.ChildProcess, input: string | ReadableStream<Uint8Array>): Promise<void> {
  const stream = typeof input === "string" ? new Blob([input]).stream() : input;
  process.status.then(() => stream.locked ? undefined : stream.cancel().catch(() => {}));
  await stream.pipeTo(process.stdin).catch(() => {});
}
