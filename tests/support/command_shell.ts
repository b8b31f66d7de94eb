/**
 * A node's shell for tests: each command line is handed to a program, `sh -c` on this machine or `ssh` with a host.
 *
 * @module
 */
import type { RemoteResult, RemoteRunOptions, RemoteShell } from "../../queen/remote_shell.ts";

/** How to hand over a command line. */
export interface CommandShellOptions {
  /** The program and what stands before the command line. */
  readonly words: readonly string[];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** Runs each command line as a process of its own group, and keeps the lines. */
export class CommandShell implements RemoteShell {
  readonly lines: string[] = [];
  readonly #options: CommandShellOptions;

  constructor(options: CommandShellOptions) {
    this.#options = options;
  }

  /** See `RemoteShell`. */
  async run(command: string, options: RemoteRunOptions = {}): Promise<RemoteResult> {
    options.signal?.throwIfAborted();
    this.lines.push(command);
    const [exe, ...args] = this.#options.words;
    const child = new Deno.Command(exe, {
      args: [...args, command],
      clearEnv: true,
      env: { ...this.#options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    const kill = () => Deno.kill(-child.pid, "SIGKILL");
    options.signal?.addEventListener("abort", kill, { once: true });
    try {
      const input = typeof options.input === "string" ? new Blob([options.input]).stream() : options.input;
      // It may end without reading to the end, and before its input does.
      (input ? input.pipeTo(child.stdin) : child.stdin.close()).catch(() => {});
      const [stdout, stderr, { code }] = await Promise.all([
        collect(child.stdout, options.onStdout),
        collect(child.stderr),
        child.status,
      ]);
      return { code, stdout, stderr };
    } finally {
      options.signal?.removeEventListener("abort", kill);
    }
  }
}

async function collect(pipe: ReadableStream<Uint8Array>, onText?: (text: string) => void): Promise<string> {
  let text = "";
  for await (const piece of pipe.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    text += piece;
    onText?.(piece);
  }
  return text;
}
