/**
 * The stream of one task, read for a person: what comes before the first token, text, and how it ended.
 *
 * @module
 */
import { type ErrorBody, fromErrorBody, isErrorBody, RbeeError } from "../protocol/error.ts";
import { type InferenceEnd, inferenceEnd } from "../protocol/inference.ts";
import { limits } from "../protocol/limits.ts";
import { type Narration, narration } from "../protocol/narration.ts";
import { type ProgressEvent, progressEvent } from "../protocol/progress.ts";
import { doneMark, type ParsedEvent, parseEventBatches } from "../protocol/sse.ts";
import { taskStarted } from "../protocol/task.ts";

/** What comes out of a task's stream. */
export type TaskEvent =
  | { type: "started"; taskId: string; model: string }
  | { type: "narration"; narration: Narration }
  | { type: "progress"; progress: ProgressEvent }
  /** All the text that came at once; `tokens` counts from the task's beginning. */
  | { type: "text"; text: string; tokens: number }
  | { type: "end"; end: InferenceEnd }
  /** What `workers start` ends with. */
  | { type: "result"; value: Record<string, unknown> };

/** How to read. */
export interface ReadTaskOptions {
  /** Ends the request that the stream belongs to, with a reason that the stream then rejects with. */
  readonly cut: (reason: Error) => void;
  readonly silenceMs?: number;
}

/**
 * Yields the events of a stream. Throws the error that the stream carries; `CONNECTION_LOST` when it ends without its
 * terminal event, breaks, or is silent for too long.
 */
export async function* readTask(body: ReadableStream<Uint8Array>, options: ReadTaskOptions): AsyncGenerator<TaskEvent> {
  const watch = watchSilence(options);
  let ended = false;
  try {
    for await (const batch of parseEventBatches(body)) {
      watch.pause();
      for (const event of gather(batch)) {
        if (event === "done") return;
        ended ||= event.type === "end" || event.type === "result";
        yield event;
      }
      watch.resume();
    }
  } catch (error) {
    throw error instanceof TypeError || error instanceof RangeError ? lost(error) : error;
  } finally {
    watch.stop();
  }
  if (!ended) throw lost();
}

function lost(cause?: unknown): RbeeError {
  return new RbeeError("CONNECTION_LOST", {
    message: "Cannot go on: the queen's stream closed unexpectedly",
    hint: "Run the command again; `rbee status` and `rbee logs` tell what happened",
    cause,
  });
}

/** Returns the events of a batch, tokens that came together as one text. Throws the error event. */
function* gather(batch: readonly ParsedEvent[]): Generator<TaskEvent | "done"> {
  let text = "";
  let tokens = 0;
  for (const event of batch) {
    const token = event.event === undefined ? tokenOf(event) : undefined;
    if (token) {
      text += token.text;
      tokens = token.count;
      continue;
    }
    if (tokens > 0) yield { type: "text", text, tokens };
    text = "";
    tokens = 0;
    const one = event.event === undefined ? lastOf(event) : namedOf(event);
    if (one) yield one;
  }
  if (tokens > 0) yield { type: "text", text, tokens };
}

function tokenOf(event: ParsedEvent): { text: string; count: number } | undefined {
  if (!event.data.startsWith('{"token"')) return undefined;
  const { token, index } = json(event.data) as { token?: unknown; index?: unknown };
  return typeof token === "string" && typeof index === "number" ? { text: token, count: index + 1 } : undefined;
}

function lastOf(event: ParsedEvent): TaskEvent | "done" | undefined {
  if (event.data === doneMark) return "done";
  const value = json(event.data);
  if (isErrorBody(value)) throw fromErrorBody(value as ErrorBody);
  const end = inferenceEnd.safeParse(value);
  if (end.success) return { type: "end", end: end.data };
  return typeof value === "object" && value !== null
    ? { type: "result", value: value as Record<string, unknown> }
    : undefined;
}

/** Events of a name that this version does not know are left out: a newer queen may tell more. */
function namedOf(event: ParsedEvent): TaskEvent | undefined {
  const value = json(event.data);
  if (event.event === "started") {
    const started = taskStarted.safeParse(value);
    return started.success ? { type: "started", taskId: started.data.task_id, model: started.data.model } : undefined;
  }
  if (event.event === "narration") {
    const said = narration.safeParse(value);
    return said.success ? { type: "narration", narration: said.data } : undefined;
  }
  if (event.event === "progress") {
    const progress = progressEvent.safeParse(value);
    return progress.success ? { type: "progress", progress: progress.data } : undefined;
  }
  if (event.event === "error" && isErrorBody(value)) throw fromErrorBody(value);
}

function json(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (cause) {
    throw new RbeeError("INVALID_RESPONSE", {
      message: "Cannot understand the queen's stream: an event is no JSON",
      cause,
    });
  }
}

/** Cuts the stream when no byte came for too long; the time in which we ourselves do not read does not count. */
function watchSilence(options: ReadTaskOptions): { pause(): void; resume(): void; stop(): void } {
  const ms = options.silenceMs ?? limits.streamSilenceMs;
  let since = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - since < ms) return;
    options.cut(
      new RbeeError("CONNECTION_LOST", {
        message: `Cannot go on: the queen has been silent for ${Math.round(ms / 1_000)} s`,
        hint: "See whether she runs: rbee status",
      }),
    );
  }, ms / 4);
  return {
    pause: () => since = Infinity,
    resume: () => since = performance.now(),
    stop: () => clearInterval(timer),
  };
}
