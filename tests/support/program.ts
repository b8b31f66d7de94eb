/**
 * A started executable: what it wrote and when, how it ended, and the signals that a person would send it.
 *
 * @module
 */
import { within } from "../../runtime/process.ts";
import { eventually, withinTime } from "./eventually.ts";
import { send } from "./processes.ts";

/** A piece of output with the time at which it came. */
export interface OutputPiece {
  readonly stream: "stdout" | "stderr";
  readonly text: string;
  /** Milliseconds since the program was started. */
  readonly atMs: number;
}

/** How a program ended, and all that it wrote. */
export interface Finished {
  readonly code: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** What to start. */
export interface ProgramOptions {
  readonly exe: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Written to its standard input, which is closed then. `"open"`: stays open for `write`. Absent: nothing. */
  readonly stdin?: string | Uint8Array | "open";
}

/** One started program, in a process group of its own as a shell gives it. */
export class Program {
  readonly pid: number;
  readonly args: readonly string[];
  readonly exe: string;
  /** Resolves when it has ended and its output was read. Never rejects. */
  readonly finished: Promise<Finished>;
  readonly pieces: OutputPiece[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #startedAt = performance.now();
  readonly #input?: WritableStreamDefaultWriter<Uint8Array>;
  #ended = false;

  constructor(options: ProgramOptions) {
    this.exe = options.exe;
    this.args = options.args;
    this.#child = new Deno.Command(options.exe, {
      args: [...options.args],
      cwd: options.cwd,
      clearEnv: true,
      env: { ...options.env },
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.pid = this.#child.pid;
    if (options.stdin !== undefined) this.#input = this.#child.stdin.getWriter();
    if (options.stdin !== undefined && options.stdin !== "open") void this.#feed(options.stdin);
    this.finished = this.#follow();
  }

  /** Whether it still runs. */
  get isRunning(): boolean {
    return !this.#ended;
  }

  /** All that it has written to stdout so far. */
  get stdout(): string {
    return this.#text("stdout");
  }

  /** All that it has written to stderr so far. */
  get stderr(): string {
    return this.#text("stderr");
  }

  /** Sends a signal to the program alone. Returns whether it was there to take it. */
  signal(signal: Deno.Signal): boolean {
    return send(this.pid, signal);
  }

  /** What a terminal does at Ctrl+C: SIGINT to the whole process group in the foreground. */
  interrupt(): boolean {
    return send(-this.pid, "SIGINT");
  }

  /** Writes to its standard input (`stdin: "open"`). */
  async write(text: string): Promise<void> {
    await this.#input?.write(new TextEncoder().encode(text));
  }

  /** Closes its standard input. */
  async closeInput(): Promise<void> {
    await this.#input?.close().catch(() => {}); // it has ended: as good as closed
  }

  /** Resolves with the match when its output matches. Throws when it ends before, or after 3 × `withinMs`. */
  async sees(pattern: RegExp, options: { stream?: "stdout" | "stderr"; withinMs: number }): Promise<RegExpMatchArray> {
    const text = () => options.stream ? this.#text(options.stream) : this.stdout + this.stderr;
    const found = await eventually(() => text().match(pattern) ?? (this.#ended ? "ended" as const : undefined), {
      withinMs: options.withinMs,
      what: `${this.name} writes ${pattern}`,
      everyMs: 10,
      seen: () => this.account(),
    });
    const match = found === "ended" ? text().match(pattern) : found;
    if (match === null) throw new Error(`Cannot see ${pattern}: ${this.name} has ended\n${this.account()}`);
    return match;
  }

  /** Resolves when it has ended. Throws after 3 × `withinMs`. */
  ends(withinMs: number): Promise<Finished> {
    return withinTime(this.finished, { withinMs, what: `${this.name} ends\n${this.account()}` });
  }

  /** The program's file name. */
  get name(): string {
    return this.exe.split("/").at(-1) ?? this.exe;
  }

  /** What it wrote so far, for a report. */
  account(): string {
    const end = this.#ended ? "ended" : "running";
    const stderr = this.stderr.slice(-4_000);
    const stdout = this.stdout.slice(-1_000);
    return `$ ${this.name} ${
      this.args.join(" ").slice(0, 300)
    } (pid ${this.pid}, ${end})\n--- stderr\n${stderr}\n--- stdout\n${stdout}`;
  }

  async #feed(input: string | Uint8Array): Promise<void> {
    try {
      await this.#input?.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
      await this.#input?.close();
    } catch {
      // it ended without reading everything: its exit code says whether that was right
    }
  }

  #text(stream: "stdout" | "stderr"): string {
    return this.pieces.filter((p) => p.stream === stream).map((p) => p.text).join("");
  }

  async #follow(): Promise<Finished> {
    const readers = [this.#read("stdout"), this.#read("stderr")];
    const status = await this.#child.status;
    const durationMs = performance.now() - this.#startedAt;
    // A process that it left behind may hold the pipe open: what matters has been written by then.
    await within(Promise.all(readers.map((r) => r.done)), 300);
    for (const reader of readers) await reader.cancel();
    await this.closeInput();
    this.#ended = true;
    return { code: status.code, signal: status.signal, stdout: this.stdout, stderr: this.stderr, durationMs };
  }

  #read(stream: "stdout" | "stderr"): { done: Promise<void>; cancel: () => Promise<void> } {
    const reader = this.#child[stream].getReader();
    const decoder = new TextDecoder();
    const all = async () => {
      for (let step = await reader.read(); !step.done; step = await reader.read()) {
        const text = decoder.decode(step.value, { stream: true });
        this.pieces.push({ stream, text, atMs: performance.now() - this.#startedAt });
      }
    };
    return { done: all().catch(() => {}), cancel: () => reader.cancel().catch(() => {}) };
  }
}
