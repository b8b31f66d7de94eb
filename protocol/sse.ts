/**
 * Server-sent events: the one place that writes `data:` lines and reads them back.
 * Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
 *
 * @module
 */
import { createParser, type EventSourceMessage } from "eventsource-parser";

/** The end mark of every stream, as data. */
export const doneMark = "[DONE]";

/** The end mark of every stream, as it stands on the wire. */
export const doneText = `data: ${doneMark}\n\n`;

/** A comment that keeps a quiet connection open; no client sees it as an event. */
export const keepAliveText = ": keep-alive\n\n";

/** What one event is written from. `data` must not hold line breaks: JSON never does. */
export interface EventFields {
  event?: string;
  id?: string | number;
  data: string;
}

/** Returns one event as text, its closing blank line included. */
export function encodeEvent(fields: EventFields): string {
  const id = fields.id === undefined ? "" : `id: ${fields.id}\n`;
  const event = fields.event === undefined ? "" : `event: ${fields.event}\n`;
  return `${id}${event}data: ${fields.data}\n\n`;
}

/** Returns one event whose data is a JSON value. */
export function encodeJsonEvent(value: unknown, event?: string): string {
  return encodeEvent({ event, data: JSON.stringify(value) });
}

/** One parsed event. */
export interface ParsedEvent {
  event?: string;
  id?: string;
  data: string;
}

/** An event larger than this is nobody's of ours; the parser gives up instead of growing. */
const eventCharsMax = 8 * 1024 * 1024;

/** Yields the events of a byte stream. Cancels the stream when the reader stops early. Throws what the stream throws. */
export async function* parseEvents(bytes: ReadableStream<Uint8Array>): AsyncGenerator<ParsedEvent> {
  for await (const batch of parseEventBatches(bytes)) yield* batch;
}

/**
 * Yields the events of each chunk together, also an empty batch for a chunk that completed none: so a reader can write
 * what came at once by one write, and sees that the other side lives. Otherwise as `parseEvents`.
 */
export async function* parseEventBatches(bytes: ReadableStream<Uint8Array>): AsyncGenerator<ParsedEvent[]> {
  const ready: ParsedEvent[] = [];
  const parser = createParser({ onEvent: (event: EventSourceMessage) => ready.push(event) });
  const decoder = new TextDecoder();
  let unfinishedChars = 0;
  for await (const chunk of bytes) {
    const text = decoder.decode(chunk, { stream: true });
    parser.feed(text);
    unfinishedChars = ready.length > 0 ? 0 : unfinishedChars + text.length;
    if (unfinishedChars > eventCharsMax) throw new RangeError("Cannot read the event stream: one event is too large");
    yield ready.splice(0);
  }
}

/** Returns the events in a piece of text that begins at an event's start; an unfinished last one is left out. */
export function parseText(text: string): ParsedEvent[] {
  const found: ParsedEvent[] = [];
  createParser({ onEvent: (event: EventSourceMessage) => found.push(event) }).feed(text);
  return found;
}
