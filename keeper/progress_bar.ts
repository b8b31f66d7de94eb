/**
 * Progress on one line: a bar that is painted over and over on a terminal, a plain line now and then anywhere else.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { ProgressEvent } from "../protocol/progress.ts";

/** The only part of a console that progress needs. */
export interface ProgressOutput {
  /** Whether a line can be painted again. */
  readonly repaints: boolean;
  readonly columns: number;
  write(text: string): void;
}

const cellsMax = 20;
/** A shorter bar says nothing. */
const cellsMin = 4;

/** Returns a bar and its percentage: `[████████------------] 40%`. `share` lies between 0 and 1. */
export function bar(share: number, cells: number = cellsMax): string {
  const clean = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0));
  const filled = Math.floor(cells * clean + 1e-9);
  return `[${"█".repeat(filled)}${"-".repeat(cells - filled)}] ${percent(clean)}`;
}

const percent = (share: number) => `${Math.floor(share * 100 + 1e-9)}%`;
const megabytes = (bytes: number) => `${(bytes / (1024 * 1024)).toFixed(1)} MB`;

/** What a progress event says, apart from its bar. */
export interface Step {
  readonly verb: string;
  readonly share: number;
  /** `12/32 layers`, `2.0 MB / 5.0 MB`. */
  readonly amount: string;
  /** What stands behind it: `45.2 MB/s`. */
  readonly rest?: string;
}

/** Returns what to show for an event; undefined for those that only end the progress. */
export function stepOf(event: ProgressEvent): Step | undefined {
  switch (event.stage) {
    case "loading_to_vram": {
      const { layers_loaded: loaded, layers_total: total } = event;
      return { verb: "Loading", share: total > 0 ? loaded / total : 0, amount: `${loaded}/${total} layers` };
    }
    case "downloading":
      return bytesStep("Downloading", { ...event, done: event.bytes_downloaded });
    case "sending":
      return bytesStep("Sending", { ...event, done: event.bytes_sent });
    case "verifying":
      return bytesStep("Checking", { ...event, done: event.bytes_done });
    case "copying":
      return bytesStep("Copying", { ...event, done: event.bytes_done });
  }
}

interface Bytes {
  readonly done: number;
  readonly bytes_total: number;
  readonly speed_mbps: number;
  readonly file?: string;
}

function bytesStep(verb: string, { done, bytes_total: total, speed_mbps: speed, file }: Bytes): Step {
  // Nobody knows it at the beginning, nor of what came at once.
  const words = [...(speed > 0 ? [`${speed.toFixed(1)} MB/s`] : []), ...(file === undefined ? [] : [file])];
  const rest = words.length > 0 ? words.join(", ") : undefined;
  return { verb, share: total > 0 ? done / total : 0, amount: `${megabytes(done)} / ${megabytes(total)}`, rest };
}

/** Returns the last step of what an event belongs to: all of it is done. */
export function lastStepOf(event: ProgressEvent): Step | undefined {
  if (event.stage === "loading_to_vram") return stepOf({ ...event, layers_loaded: event.layers_total });
  if (event.stage === "downloading") return stepOf({ ...event, bytes_downloaded: event.bytes_total });
  if (event.stage === "sending") return stepOf({ ...event, bytes_sent: event.bytes_total });
  if (event.stage === "verifying" || event.stage === "copying") {
    return stepOf({ ...event, bytes_done: event.bytes_total });
  }
}

/** One line of progress. Whoever writes something else calls `clear` before and `paint` after, or `end`. */
export class ProgressLine {
  readonly #output: ProgressOutput;
  readonly #prefix: string;
  readonly #now: () => number;
  #step?: Step;
  #painted = false;
  #isStale = false;
  #timer?: ReturnType<typeof setTimeout>;
  #lastLineAt = -Infinity;
  #lastTenth = -1;
  #lastText = "";

  /** `now` gives milliseconds. */
  constructor(output: ProgressOutput, prefix: string, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#prefix = prefix;
    this.#now = now;
  }

  /** Shows a step, at once or together with the next ones. */
  update(step: Step): void {
    this.#step = step;
    this.#isStale = true;
    if (!this.#output.repaints) return this.#line(step.share >= 1);
    this.#timer ??= setTimeout(() => this.paint(), this.#painted ? limits.progressPaintMs : 0);
  }

  /** Paints the bar again, on a terminal. */
  paint(): void {
    this.#stopTimer();
    if (!this.#step || !this.#output.repaints) return;
    const { verb, share, amount, rest } = this.#step;
    const room = this.#output.columns - 2; // one for the cursor, and the hourglass takes two
    const letters = (
      cells: number,
    ) => [...`${this.#prefix} ⏳ ${verb} ${bar(share, cells)} (${amount})${rest === undefined ? "" : ` ${rest}`}`];
    // Numbers that are cut off say something else; a bar that is shorter says the same.
    const tooMany = Math.max(0, letters(cellsMax).length - room);
    const text = letters(Math.max(cellsMin, cellsMax - tooMany)).slice(0, room).join("");
    this.#output.write(`\r\x1b[2K${text}`);
    this.#painted = true;
    this.#isStale = false;
  }

  /** Takes the bar away for a moment, so that a whole line can be written. */
  clear(): void {
    this.#stopTimer();
    if (this.#painted) this.#output.write("\r\x1b[2K");
    this.#painted = false;
  }

  /** Leaves the last state of the bar standing and goes to the next line. */
  end(): void {
    if (this.#step && this.#output.repaints) {
      if (this.#isStale || !this.#painted) this.paint();
      this.#output.write("\n");
    }
    this.#stopTimer();
    this.#step = undefined;
    this.#painted = false;
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** A line for each tenth, but not several within half a second; one at least every 5 s; always the last one. */
  #line(last: boolean): void {
    const { verb, share, amount, rest } = this.#step!;
    const quietMs = this.#now() - this.#lastLineAt;
    const tenth = Math.floor(share * 10 + 1e-9);
    const due = last || quietMs >= limits.progressLineMs ||
      (tenth !== this.#lastTenth && quietMs >= limits.progressLineMsMin);
    const text = `${this.#prefix} ⏳ ${verb}: ${percent(share)} (${amount})${rest === undefined ? "" : ` ${rest}`}`;
    if (!due || text === this.#lastText) return;
    this.#lastText = text;
    this.#lastTenth = tenth;
    this.#lastLineAt = this.#now();
    this.#output.write(text + "\n");
  }
}
