/**
 * Reads a hive's `GET /v1/events`: what it says becomes the scheduler's events, and its silence an end.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { narration } from "../protocol/narration.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { hiveStatus, workerGone } from "../protocol/hive_status.ts";
import { type ParsedEvent, parseEvents } from "../protocol/sse.ts";
import { callStream, type Peer } from "../runtime/call.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";

/** Who reads, and for which node. */
export interface HiveEventsOptions {
  readonly node: string;
  readonly peer: Peer;
  readonly signal: AbortSignal;
  readonly onEvent: (event: SchedulerEvent) => void;
  /** Told of an event that this version cannot read. */
  readonly onOdd: (name: string) => void;
  readonly silentMs?: number;
}

/**
 * Opens the stream, and returns a promise of its end: it resolves with the reason, never rejects.
 * Throws what `callStream` throws when it cannot be opened.
 */
export async function followHive(options: HiveEventsOptions): Promise<{ ended: Promise<RbeeError> }> {
  const { peer, signal } = options;
  const { body } = await callStream(peer, hiveRoutes.events, { signal, attempts: 1 });
  return { ended: read(body, options) };
}

async function read(body: ReadableStream<Uint8Array>, options: HiveEventsOptions): Promise<RbeeError> {
  const lost = (why: string, cause?: unknown) =>
    new RbeeError("CONNECTION_LOST", {
      message: `Cannot go on: the hive on ${options.node} ${why}`,
      details: { node: options.node },
      cause,
    });
  const silentMs = options.silentMs ?? limits.hiveSilentMs;
  try {
    for await (const event of parseEvents(untilSilent(body, silentMs))) take(event, options);
    return lost("ended");
  } catch (error) {
    if (error instanceof Silence) return lost(`has said nothing for ${Math.round(silentMs / 1_000)} s`);
    return lost("is gone", error);
  }
}

class Silence extends Error {}

/** Returns the same bytes; a stream without any for that long, not even a comment, is an error: a stopped process keeps its connections. */
export function untilSilent(body: ReadableStream<Uint8Array>, ms: number): ReadableStream<Uint8Array> {
  let timer: number | undefined;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      start: (controller) => void (timer = setTimeout(() => controller.error(new Silence()), ms)),
      transform(piece, controller) {
        clearTimeout(timer);
        timer = setTimeout(() => controller.error(new Silence()), ms);
        controller.enqueue(piece);
      },
      flush: () => clearTimeout(timer),
      cancel: () => clearTimeout(timer),
    }),
  );
}

function take(event: ParsedEvent, { node, onEvent, onOdd }: HiveEventsOptions): void {
  const name = event.event ?? "message";
  const value = json(event.data);
  if (name === "status") {
    const status = hiveStatus.safeParse(value);
    return status.success ? onEvent({ type: "hiveStatus", node, status: status.data }) : onOdd(name);
  }
  if (name === "worker-gone") {
    const gone = workerGone.safeParse(value);
    return gone.success ? onEvent({ type: "workerGone", node, gone: gone.data }) : onOdd(name);
  }
  if (name === "narration") {
    const said = narration.safeParse(value);
    return said.success ? onEvent({ type: "hiveNarration", node, narration: said.data }) : onOdd(name);
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the end mark, or what nobody of ours wrote: no schema takes it
  }
}
