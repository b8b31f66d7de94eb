/**
 * Reads server-sent events as a third party's client would, past rbee's own reader: by `eventsource-parser` on the
 * bytes of an answer.
 *
 * @module
 */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { withinTime } from "./eventually.ts";

/** One event and when it came. */
export interface SeenEvent {
  /** `message` for a default event. */
  readonly event: string;
  readonly id?: string;
  readonly data: string;
  /** Milliseconds since reading began. */
  readonly atMs: number;
}

/** The events of one answer, in order. */
export class EventReader implements AsyncDisposable {
  readonly events: SeenEvent[] = [];
  readonly comments: string[] = [];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  readonly #startedAt = performance.now();
  readonly #parser = createParser({
    onEvent: (e: EventSourceMessage) =>
      this.events.push({
        event: e.event ?? "message",
        id: e.id,
        data: e.data,
        atMs: performance.now() - this.#startedAt,
      }),
    onComment: (text: string) => this.comments.push(text),
  });
  #ended = false;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** Whether the stream has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Reads until an event is one that is looked for, and returns it. Throws when the stream ends before. */
  async until(isIt: (event: SeenEvent) => boolean, options: { withinMs: number; what: string }): Promise<SeenEvent> {
    let looked = 0;
    const find = async (): Promise<SeenEvent> => {
      for (;;) {
        while (looked < this.events.length) {
          const event = this.events[looked++];
          if (isIt(event)) return event;
        }
        if (!await this.#readMore()) {
          throw new Error(`Cannot see ${options.what}: the stream ended after\n${this.account()}`);
        }
      }
    };
    return await withinTime(find(), options);
  }

  /** Reads to the end of the stream and returns all events. */
  async all(withinMs: number): Promise<SeenEvent[]> {
    const toEnd = async () => {
      while (await this.#readMore());
      return this.events;
    };
    return await withinTime(toEnd(), { withinMs, what: `the stream ends after\n${this.account()}` });
  }

  /** Returns the JSON values of the default events, the end mark left out. */
  values(): Record<string, unknown>[] {
    return this.events.filter((e) => e.event === "message" && e.data !== "[DONE]").map((e) => JSON.parse(e.data));
  }

  /** What came so far, for a report. */
  account(): string {
    return this.events.slice(-12).map((e) => `${e.event}: ${e.data}`).join("\n").slice(-3_000);
  }

  /** Leaves the stream, as a client that goes away. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#reader.cancel().catch(() => {}); // it broke before: as good as left
  }

  async #readMore(): Promise<boolean> {
    if (this.#ended) return false;
    const step = await this.#reader.read();
    if (step.done) this.#ended = true;
    else this.#parser.feed(this.#decoder.decode(step.value, { stream: true }));
    return !step.done;
  }
}
