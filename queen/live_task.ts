/**
 * One task on the client's side: what was asked, who reads, what was sent. The scheduler knows it by its id alone.
 *
 * @module
 */
import { dialectOf } from "../protocol/dialects/rbee.ts";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import type { inferenceAnswer, InferenceRequest } from "../protocol/inference.ts";
import { limits } from "../protocol/limits.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import { encodeJsonEvent } from "../protocol/sse.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { counter, histogram } from "../runtime/metrics.ts";
import type * as z from "zod";
import { Journal } from "./journal.ts";
import type { RelaySink } from "./relay.ts";
import type { TaskWish } from "./scheduler_messages.ts";

/** How a client reads: the open stream, one JSON answer at the end, or later and by others. */
export type Delivery = "stream" | "answer" | "detached";

/** What a task is made of. */
export interface LiveTaskOptions {
  readonly wish: TaskWish;
  readonly delivery: Delivery;
  /** What the worker is sent; absent for a task that only loads a model. */
  readonly request?: Partial<InferenceRequest>;
  readonly correlationId: string;
  /** Told when the client left before the end. */
  readonly onClientGone: () => void;
}

/** How it ended. */
export interface TaskOutcome {
  readonly end: "done" | "failed" | "cancelled";
  readonly error?: RbeeError;
  readonly worker?: string;
}

const ended = counter("rbee_queen_tasks_total", "Tasks by how they ended", ["end"]);
const firstToken = histogram(
  "rbee_queen_time_to_first_token_seconds",
  "From the task's arrival to the first bytes of its worker's stream",
  [0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 1.5, 3, 5, 10, 30, 60, 300],
);

/** A task from its arrival until nobody can read it any more. */
export class LiveTask implements RelaySink {
  readonly wish: TaskWish;
  readonly delivery: Delivery;
  readonly request?: Partial<InferenceRequest>;
  readonly correlationId: string;
  readonly journal = new Journal(limits.taskReplayBytesMax);
  readonly submittedAt: number = performance.now();
  readonly #onClientGone: () => void;
  readonly #over = Promise.withResolvers<TaskOutcome>();
  #outcome?: TaskOutcome;
  #out?: StreamWriter;
  #answer?: unknown;

  constructor(options: LiveTaskOptions) {
    this.wish = options.wish;
    this.delivery = options.delivery;
    this.request = options.request;
    this.correlationId = options.correlationId;
    this.#onClientGone = options.onClientGone;
    const { id, demand } = options.wish;
    const started = { task_id: id, correlation_id: options.correlationId, model: demand.model };
    if (this.delivery !== "answer") this.journal.append(encodeJsonEvent(started, "started"));
  }

  /** The task's id. */
  get id(): string {
    return this.wish.id;
  }

  /** How it ended; undefined while it has not. */
  get outcome(): TaskOutcome | undefined {
    return this.#outcome;
  }

  /** Milliseconds that it may still take. */
  get deadlineMs(): number {
    return Math.max(1, this.wish.timeoutMs - (performance.now() - this.submittedAt));
  }

  /** Writes the client's stream until the task has ended. What happened before is sent first. */
  async follow(out: StreamWriter): Promise<void> {
    this.#whenGone(out.signal);
    this.#out = out;
    const before = this.journal.from(0);
    await out.write(before);
    await this.#over.promise;
  }

  /** Returns the one answer of a task that is not streamed. Throws how it failed, or the client's leaving. */
  async answer(signal: AbortSignal): Promise<z.infer<typeof inferenceAnswer>> {
    const forget = this.#whenGone(signal);
    const { error } = await this.#over.promise;
    forget();
    if (this.#answer === undefined) throw error ?? new RbeeError("REQUEST_CANCELED");
    const { request_id: _same, ...answer } = this.#answer as z.infer<typeof inferenceAnswer>;
    return { ...answer, task_id: this.id };
  }

  /** Returns what ends the watching. A client may have left before: a signal tells its listeners only once. */
  #whenGone(signal: AbortSignal): () => void {
    const gone = () => this.#clientGone();
    if (signal.aborted) gone();
    else signal.addEventListener("abort", gone, { once: true });
    return () => signal.removeEventListener("abort", gone);
  }

  #clientGone(): void {
    if (!this.#outcome) this.#onClientGone();
  }

  /** Tells the client what is being done for it. Never throws: a client that left is noticed by its stream. */
  narrate(narration: Omit<Narration, "correlation_id">): void {
    this.#tell(encodeJsonEvent({ ...narration, correlation_id: this.correlationId }, "narration"));
  }

  /** Tells the client how far the loading is. Never throws. */
  progress(progress: ProgressEvent): void {
    this.#tell(encodeJsonEvent(progress, "progress"));
  }

  #tell(text: string): void {
    if (this.#outcome || this.delivery === "answer") return;
    this.write(text).catch(() => {});
  }

  /** Takes what a worker sent, or what the queen says; resolves when there is room for more. */
  async write(piece: string | Uint8Array): Promise<void> {
    if (this.#outcome) return; // what was still on its way when the task ended
    const bytes = this.journal.append(piece);
    await this.#out?.write(bytes);
  }

  /** See `RelaySink`. */
  onFirstBytes(): void {
    firstToken.observe((performance.now() - this.submittedAt) / 1_000);
  }

  /** Takes the worker's one answer. See `RelaySink`. */
  setAnswer(value: unknown): void {
    this.#answer = value;
  }

  /** Ends it, once. An error that the client was not told by the worker's own stream is told now, in its dialect. */
  finish(outcome: TaskOutcome, last?: string): void {
    if (this.#outcome) return;
    ended.inc({ end: outcome.end });
    const text = last ?? (outcome.error ? this.#errorText(outcome.error) : "");
    const isStream = this.delivery !== "answer" && text !== "";
    const written = isStream ? this.write(this.journal.isAtBoundary ? text : "\n\n" + text) : Promise.resolve();
    this.#outcome = outcome;
    this.journal.close();
    written.catch(() => {}).finally(() => {
      this.#over.resolve(outcome);
      this.#out = undefined;
    });
  }

  #errorText(error: RbeeError): string {
    return dialectOf(this.request?.dialect ?? "rbee").error(toErrorBody(error, this.correlationId));
  }
}
