/**
 * The way of a worker's bytes to the client: read a piece, write a piece, unparsed, at the client's pace. One attempt
 * at one worker; how it ended is told to the scheduler, who alone decides what follows.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import type { InferenceRequest } from "../protocol/inference.ts";
import { limits } from "../protocol/limits.ts";
import type { BodyInput } from "../protocol/routes.ts";
import { workerRoutes } from "../protocol/worker_routes.ts";
import { call, callStream, type Peer } from "../runtime/call.ts";
import { counter } from "../runtime/metrics.ts";
import type { Journal } from "./journal.ts";
import type { StreamEnd } from "./scheduler_messages.ts";

/** Where the bytes go. */
export interface RelaySink {
  readonly journal: Journal;
  /** Called with the first piece that holds more than a comment. */
  onFirstBytes(): void;
  /** Resolves when there is room for more. Rejects when the client is gone. */
  write(piece: Uint8Array): Promise<void>;
  /** The one answer of a request that is not streamed. */
  setAnswer(value: unknown): void;
}

/** One attempt. */
export interface RelayOptions {
  /** The worker, once the way to it stands. Rejects with why it does not. */
  readonly peer: Promise<Peer>;
  readonly worker: string;
  readonly request: BodyInput<typeof workerRoutes.inference> & Pick<InferenceRequest, "request_id" | "stream">;
  readonly sink: RelaySink;
  readonly correlationId?: string;
  /** How long the task may still take. */
  readonly deadlineMs: number;
  /** Returns why the way to the worker's node is gone; undefined while it stands, and then it is the worker that broke. */
  readonly whyGone?: () => Promise<RbeeError | undefined>;
}

const relayed = counter("rbee_queen_relay_bytes_total", "Bytes passed on from workers to clients");
const colon = ":".charCodeAt(0);

/** One attempt at one worker. */
export class Relay {
  readonly #options: RelayOptions;
  readonly #cut = new AbortController();
  #peer?: Peer;
  #brokenBy?: RbeeError;
  #asked?: Promise<void>;
  /** Cuts what was asked to end and does not. */
  #patience?: number;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Runs it to its end. Never rejects. */
  async run(): Promise<StreamEnd> {
    const isWhole = this.#options.request.stream === false;
    const end = await this.#reach() ?? (isWhole ? await this.#runAnswer() : await this.#runStream());
    clearTimeout(this.#patience);
    if (!this.#cut.signal.aborted) return end;
    if (this.#brokenBy) return this.#broken(this.#brokenBy);
    // Closing the connection ends a generation; the call makes sure of it, and that the slot is free when it returns.
    await (this.#asked ?? this.#askToCancel());
    return { kind: "stopped" };
  }

  /** Waits for the way to the worker. Returns how it ended already: no way, or stopped before anything was sent. */
  async #reach(): Promise<StreamEnd | undefined> {
    try {
      const peer = await this.#options.peer;
      if (this.#cut.signal.aborted) return { kind: "stopped" };
      this.#peer = peer;
    } catch (error) {
      return { kind: "refused", error: toRbeeError(error) };
    }
  }

  /** Ends it, see the effect `stopTask`. */
  stop(how: "gently" | "now" | "broken", error?: RbeeError): void {
    // What was not sent yet needs not be asked to end.
    if (how === "gently" && this.#peer) {
      this.#asked ??= this.#askToCancel();
      this.#patience ??= setTimeout(() => this.#abort(), limits.cancelAckMs);
      return;
    }
    if (how === "broken") this.#brokenBy = error ?? new RbeeError("WORKER_CRASHED");
    this.#abort();
  }

  #abort(): void {
    if (!this.#cut.signal.aborted) this.#cut.abort(new RbeeError("REQUEST_CANCELED"));
  }

  async #askToCancel(): Promise<void> {
    const { request, correlationId } = this.#options;
    const peer = this.#peer;
    if (!peer) return;
    const params = { id: request.request_id! };
    try {
      await call(peer, workerRoutes.cancel, { params, correlationId, deadlineMs: limits.cancelAckMs, attempts: 1 });
    } catch {
      // gone, and its generations with it
    }
  }

  async #runAnswer(): Promise<StreamEnd> {
    const { request, sink, correlationId, deadlineMs } = this.#options;
    try {
      const options = { body: request, signal: this.#cut.signal, deadlineMs, correlationId, attempts: 1 };
      sink.setAnswer(await call(this.#peer!, workerRoutes.inference, options));
      return { kind: "done", failed: false };
    } catch (error) {
      return { kind: "refused", error: toRbeeError(error) };
    }
  }

  async #runStream(): Promise<StreamEnd> {
    const { request, correlationId, deadlineMs } = this.#options;
    let body: ReadableStream<Uint8Array>;
    try {
      const options = { body: request, signal: this.#cut.signal, deadlineMs, correlationId, attempts: 1 };
      body = (await callStream(this.#peer!, workerRoutes.inference, options)).body;
    } catch (error) {
      return { kind: "refused", error: toRbeeError(error) };
    }
    const reader = body.getReader();
    const lost = await this.#copy(reader);
    reader.cancel().catch(() => {}); // ended already, or it ends now
    const { journal } = this.#options.sink;
    if (journal.isFinished) return { kind: "done", failed: journal.endedWithError() };
    // Not asked for what we cut ourselves: a client waits for that.
    const gone = this.#cut.signal.aborted ? undefined : await this.#options.whyGone?.();
    return this.#broken(gone ?? new RbeeError("WORKER_CRASHED", { cause: lost }));
  }

  /** Copies until the end, and returns what broke the worker's side of the stream, if something did. */
  async #copy(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<unknown> {
    const { sink } = this.#options;
    let isFirst = true;
    for (;;) {
      let step: ReadableStreamReadResult<Uint8Array>;
      try {
        step = await reader.read();
      } catch (error) {
        return error;
      }
      if (step.done || this.#cut.signal.aborted) return undefined;
      if (isFirst && step.value[0] !== colon) {
        isFirst = false;
        sink.onFirstBytes();
      }
      relayed.inc(step.value.length);
      try {
        await sink.write(step.value);
      } catch {
        this.#abort(); // the client is gone; the scheduler hears of it from its stream
        return undefined;
      }
    }
  }

  #broken(error: RbeeError): StreamEnd {
    const { journal } = this.#options.sink;
    const tokens = journal.tokens();
    const details = { ...error.details, tokens, max_tokens: this.#options.request.max_tokens };
    const more = { worker_id: this.#options.worker, ...details };
    const { message, hint, cause } = error;
    const told = new RbeeError(error.code, { message, details: more, hint, cause });
    return { kind: "broken", error: told, begun: tokens > 0 || !journal.isAtBoundary };
  }
}
