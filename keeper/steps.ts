/**
 * What takes the queen several steps, followed for a person: narration, a bar, and the result.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import type { BodyInput, Route } from "../protocol/routes.ts";
import { callStream } from "../runtime/call.ts";
import type { Keeper } from "./keeper.ts";
import { type Queen, withAddress } from "./queen_probe.ts";
import type { Render } from "./render.ts";
import { readTask, type TaskEvent } from "./task_stream.ts";

/** Who takes each kind of step, and shows how far it is. */
export function programOf({ stage }: ProgressEvent): string {
  if (stage === "sending") return "queen-rbee";
  return stage === "downloading" || stage === "verifying" || stage === "copying" ? "rbee-hive" : "llm-worker-rbee";
}

/** What steps are wanted. */
export interface StepsWish<R extends Route> {
  readonly route: R;
  readonly body: BodyInput<R>;
  /** With --json each step is a line of its own. */
  readonly lines?: boolean;
}

/** Calls a route that streams steps and returns its result. Throws the error that the stream carries, or why it broke. */
export async function followSteps<R extends Route>(
  keeper: Keeper,
  queen: Queen,
  { route, body, lines }: StepsWish<R>,
): Promise<Record<string, unknown>> {
  const { render } = keeper;
  const cut = new AbortController();
  const signal = AbortSignal.any([keeper.signal, cut.signal]);
  let result: Record<string, unknown> | undefined;
  try {
    const stream = await callStream(queen.peer, route, { body, signal });
    for await (const event of readTask(stream.body, { cut: (reason) => cut.abort(reason) })) {
      if (lines && render.json) await writeLine(render, event);
      if (event.type === "narration") render.narration(event.narration);
      else if (event.type === "result") result = event.value;
      else if (event.type === "progress") {
        render.progress(programOf(event.progress), event.progress);
        const isSent = event.progress.stage === "sending" && event.progress.bytes_sent >= event.progress.bytes_total;
        if (isSent) render.finishProgress(); // what is narrated next comes after it
      }
    }
  } catch (error) {
    throw withAddress(error, queen.url);
  } finally {
    render.endProgress();
  }
  if (result) return result;
  throw new RbeeError("INVALID_RESPONSE", { message: "Cannot understand the queen's stream: it has no result" });
}

async function writeLine(render: Render, event: TaskEvent): Promise<void> {
  if (event.type === "narration") await render.line(JSON.stringify({ narration: event.narration }));
  else if (event.type === "progress") await render.line(JSON.stringify({ progress: event.progress }));
}
