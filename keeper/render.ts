/**
 * The only place of the keeper that writes: results and tokens to stdout, everything else to stderr as
 * `[program] icon text`. Nothing moves a cursor or colours a text unless stderr is a terminal.
 *
 * @module
 */
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import { type ErrorContext, errorLines, errorText } from "./error_text.ts";
import { lastStepOf, ProgressLine, type ProgressOutput, stepOf } from "./progress_bar.ts";

/** One of a process's two outputs. */
export interface Output {
  isTerminal(): boolean;
  write(bytes: Uint8Array): Promise<number>;
  writeSync(bytes: Uint8Array): number;
}

/** How to write. */
export interface RenderOptions {
  /** Results as JSON, errors as the error body, no narration. */
  readonly json?: boolean;
  /** No narration and no progress. */
  readonly quiet?: boolean;
  readonly stdout?: Output;
  readonly stderr?: Output;
  /** An environment variable's value; undefined when it is absent or empty. */
  readonly environment?: (name: string) => string | undefined;
}

/** Whoever read our stdout has closed it (`| head`): no fault, there is just nobody left to write to. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

const me = "[rbee-keeper]";

/** Writes for one command. */
export class Render {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #encoder = new TextEncoder();
  readonly #repaints: boolean;
  readonly #colour: boolean;
  #progress?: ProgressLine;
  #lastProgress?: ProgressEvent;
  #lastChar = "\n";
  #canceled = false;

  constructor(options: RenderOptions = {}) {
    const read = options.environment ?? (() => undefined);
    this.json = options.json ?? false;
    this.quiet = options.quiet ?? false;
    this.#stdout = options.stdout ?? Deno.stdout;
    this.#stderr = options.stderr ?? Deno.stderr;
    const capable = this.#stderr.isTerminal() && read("TERM") !== "dumb";
    this.#repaints = capable && read("CI") === undefined;
    this.#colour = capable && read("NO_COLOR") === undefined;
  }

  /** Whether a person looks at stdout. */
  get stdoutIsTerminal(): boolean {
    return this.#stdout.isTerminal();
  }

  /** Whether text on stdout was left without a line break. */
  get isMidLine(): boolean {
    return this.#lastChar !== "\n";
  }

  /** Writes text to stdout as it is, by one write where the system allows. Throws `OutputClosed`, `DISK_FULL`. */
  async text(text: string): Promise<void> {
    if (text === "") return;
    this.finishProgress(); // results come when what they waited for is done
    const bytes = this.#encoder.encode(text);
    try {
      for (let at = 0; at < bytes.length;) at += await this.#stdout.write(bytes.subarray(at));
    } catch (error) {
      throw outputError(error);
    }
    this.#lastChar = text.at(-1)!;
  }

  /** Writes one line of a result to stdout. */
  async line(text: string): Promise<void> {
    await this.text(text + "\n");
  }

  /** Writes a result as JSON to stdout: one line, or indented for a person at a terminal. */
  async value(value: unknown): Promise<void> {
    await this.line(this.stdoutIsTerminal ? JSON.stringify(value, null, 2) : JSON.stringify(value));
  }

  /** Tells what is happening, on stderr; silent with --quiet and --json. */
  note(program: string, human: string): void {
    if (this.quiet || this.json) return;
    this.#above(`[${program}] ${human}\n`);
  }

  /** Tells what a program says. Of a break the bar stays as it was then (S37). */
  narration({ actor, action, human }: Pick<Narration, "actor" | "action" | "human">): void {
    if (action === "model-download-error" && !this.quiet && !this.json) this.endProgress();
    this.note(actor, human);
  }

  /** Tells what must be known also with --quiet, on stderr; silent with --json. */
  warn(human: string): void {
    if (!this.json) this.#above(`${me} ⚠️ ${human}\n`);
  }

  /** Shows how far something that takes long has come. What follows another kind of step goes below it. */
  progress(program: string, event: ProgressEvent): void {
    if (this.quiet || this.json) return;
    if (event.stage === "ready" || event.stage === "complete") return this.finishProgress();
    const step = stepOf(event);
    if (!step) return this.endProgress();
    if (this.#lastProgress && this.#lastProgress.stage !== event.stage) this.finishProgress();
    this.#progress ??= new ProgressLine(this.#progressOutput(), `[${program}]`);
    this.#progress.update(step);
    this.#lastProgress = event;
  }

  /** Shows that all of it is done, whatever was told last, and goes on below it. */
  finishProgress(): void {
    const step = this.#lastProgress && lastStepOf(this.#lastProgress);
    if (step) this.#progress?.update(step);
    this.endProgress();
  }

  /** Leaves the bar as it is and goes on below it. */
  endProgress(): void {
    this.#progress?.end();
    this.#progress = undefined;
    this.#lastProgress = undefined;
  }

  /** Says that the command was canceled; once, however often it is called. */
  canceled(): void {
    if (this.#canceled) return;
    this.#canceled = true;
    this.endProgress();
    if (this.json) this.#err(JSON.stringify(toErrorBody(new RbeeError("REQUEST_CANCELED"))) + "\n");
    else this.#err("\nCanceled.\n");
  }

  /** Shows an error with its facts and what to do next; with --json its body, causes included. */
  error(error: RbeeError, context: ErrorContext = {}): void {
    this.endProgress();
    if (this.json) return this.#err(JSON.stringify(toErrorBody(error)) + "\n");
    const [headline, ...rest] = errorLines(errorText(error, context));
    const label = this.#colour ? "\x1b[31mError:\x1b[39m" : "Error:";
    this.#err([`${me} ❌ ${label} ${headline}`, ...rest].join("\n") + "\n");
  }

  /** Writes help or usage to stderr. */
  usage(text: string): void {
    this.#err(text.endsWith("\n") ? text : text + "\n");
  }

  #above(text: string): void {
    this.#progress?.clear();
    this.#err(text);
    this.#progress?.paint();
  }

  #err(text: string): void {
    const bytes = this.#encoder.encode(text);
    try {
      for (let at = 0; at < bytes.length;) at += this.#stderr.writeSync(bytes.subarray(at));
    } catch {
      // stderr is closed: nobody wants to know, and that is no reason to stop
    }
  }

  #progressOutput(): ProgressOutput {
    return { repaints: this.#repaints, columns: columns(), write: (text) => this.#err(text) };
  }
}

/** A terminal of 0 columns is real (`script`, `expect`, `ssh -tt`). */
function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80; // stdin and stdout are no terminals: there is nobody to ask
  }
}

function outputError(error: unknown): unknown {
  if (error instanceof Deno.errors.BrokenPipe) return new OutputClosed("stdout is closed", { cause: error });
  if (error instanceof Error && /os error 28\b|No space left/.test(error.message)) {
    return new RbeeError("DISK_FULL", {
      message: "Cannot write to standard output: no space left on the disk",
      cause: error,
    });
  }
  return error;
}
