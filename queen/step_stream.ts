/**
 * Answers of what takes several steps and is no task: narration and progress while it goes on, one JSON event with the
 * result or the error, then the end mark.
 *
 * @module
 */
import { toErrorBody } from "../protocol/error.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import type { Log } from "../runtime/log.ts";
import type { Context } from "../runtime/serve.ts";

/** Whom such work tells how far it is. */
export interface Steps {
  /** Aborted when the client left. */
  readonly signal: AbortSignal;
  /** Tells a person what is being done; `action` is noun and verb: `node-install`. Never throws. */
  narrate(action: string, human: string): void;
  /** Passes on what another program tells. Never throws. */
  say(narration: Narration): void;
  /** Tells how far something is. Never throws. */
  progress(event: ProgressEvent): void;
}

/** What a stream needs besides the work. */
export interface StepStreamOptions {
  /** What it is done to: a node's name. */
  readonly target: string;
  /** Told of faults that are no errors of ours. */
  readonly log: Log;
}

/** Returns the streamed answer of `work`; what that returns is the result, what it throws the error event. */
export function stepStream<Result>(
  context: Context,
  { target, log }: StepStreamOptions,
  work: (steps: Steps) => Promise<Result>,
): Response {
  const { correlationId } = context;
  return context.stream(async (out) => {
    // A client that left is noticed by the signal.
    const tell = (text: string) => void out.write(text).catch(() => {});
    const say = (narration: Narration) =>
      tell(encodeJsonEvent({ ...narration, correlation_id: correlationId }, "narration"));
    const steps: Steps = {
      signal: AbortSignal.any([out.signal, context.stopping]),
      narrate: (action, human) => say({ actor: "queen-rbee", action, target, human }),
      say,
      progress: (event) => tell(encodeJsonEvent(event, "progress")),
    };
    let last: unknown;
    try {
      last = await work(steps);
    } catch (error) {
      const body = toErrorBody(error, correlationId);
      if (body.error.code === "INTERNAL_ERROR") log.error("a step failed", { target, error });
      last = body;
    }
    if (!out.signal.aborted) await out.write(encodeJsonEvent(last) + doneText);
  });
}
