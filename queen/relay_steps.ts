/**
 * Work of a hive in several steps, passed on to whoever asked the queen for it.
 *
 * @module
 */
import { fromErrorBody, isErrorBody, RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { narration } from "../protocol/narration.ts";
import { progressEvent } from "../protocol/progress.ts";
import type { BodyInput, Route } from "../protocol/routes.ts";
import { doneMark, parseEvents } from "../protocol/sse.ts";
import { callStream, type Peer } from "../runtime/call.ts";
import { untilSilent } from "./hive_events.ts";
import type { Steps } from "./step_stream.ts";

/** Calls the route, passes on narration and progress, and returns the result. Throws the error that the stream carries. */
export async function relaySteps<R extends Route>(
  peer: Peer,
  { route, body }: { route: R; body: BodyInput<R> },
  steps: Steps,
): Promise<Record<string, unknown>> {
  const stream = await callStream(peer, route, { body, signal: steps.signal, attempts: 1 });
  let result: Record<string, unknown> | undefined;
  for await (const { event, data } of parseEvents(untilSilent(stream.body, limits.hiveSilentMs))) {
    if (data === doneMark) break;
    const value: unknown = JSON.parse(data);
    if (isErrorBody(value)) throw fromErrorBody(value);
    const progress = progressEvent.safeParse(value);
    const said = event === "narration" ? narration.safeParse(value) : undefined;
    if (progress.success) steps.progress(progress.data);
    else if (said) { if (said.success) steps.say(said.data); }
    else if (event === undefined) result = value as Record<string, unknown>;
  }
  if (result) return result;
  throw new RbeeError("CONNECTION_LOST", { message: "Cannot go on: the hive's stream ended without a result" });
}
