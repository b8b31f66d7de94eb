/**
 * A short-lived child whose output is read as it comes, at the reader's pace.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { childEnvironment } from "./environment.ts";
import { within } from "./process.ts";

/** The child. */
export interface ProcessStream {
  /** Its stdout; it waits for whoever reads. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<{ code: number; stderr: string }>;
  /** Closes its stdin and kills it. */
  stop(): void;
}

/**
 * Starts a program, without a shell, gives it `input` and keeps its standard input open behind it until it ends or is
 * stopped. Returns undefined when the program is missing or may not run.
 */
export function streamProcess(exe: string, args: string[], options: { input: string }): ProcessStream | undefined {
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command(exe, {
      args,
      clearEnv: true,
      env: childEnvironment(),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch {
    return undefined; // not found or not permitted
  }
  const stdin = process.stdin.getWriter();
  stdin.write(new TextEncoder().encode(options.input)).catch(() => {}); // it ended before it had read all
  const stderr = firstText(process.stderr);
  const ended = process.status.then(async ({ code }) => {
    stdin.close().catch(() => {});
    return { code, stderr: await stderr() };
  });
  return {
    stdout: process.stdout,
    ended,
    stop() {
      stdin.close().catch(() => {});
      try {
        process.kill("SIGKILL");
      } catch {
        // gone already
      }
    },
  };
}

/** Reads a pipe. Returns what gives the beginning of its text: somebody else may hold the pipe open for ever. */
function firstText(pipe: ReadableStream<Uint8Array>): () => Promise<string> {
  const reader = pipe.getReader();
  const decoder = new TextDecoder();
  let text = "";
  const all = (async () => {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      if (text.length < limits.probeOutputBytesMax) text += decoder.decode(step.value, { stream: true });
    }
  })().catch(() => {}); // the pipe broke: as good as its end
  return async () => {
    await within(all, 200);
    reader.cancel().catch(() => {});
    return text;
  };
}
