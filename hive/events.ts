/**
 * What the hive tells on `GET /v1/events`: the whole picture after each change, why a worker went, and narration.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Narration } from "../protocol/narration.ts";
import type { HiveStatus, WorkerGone } from "../protocol/hive_status.ts";
import { encodeJsonEvent } from "../protocol/sse.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { within } from "../runtime/process.ts";

interface Subscriber {
  /** Whether the picture has changed since it was last sent. */
  dirty: boolean;
  pending: string[];
  /** What it was last told of models. */
  models?: HiveStatus["models"];
  cut?: Error;
  wake(): void;
}

/** Hands out events to any number of readers, each at its own pace. */
export class Events {
  readonly #status: () => Promise<HiveStatus>;
  readonly #subscribers = new Set<Subscriber>();
  #closed = false;

  /** `status` gives the whole picture, asked for each time it is sent. */
  constructor(status: () => Promise<HiveStatus>) {
    this.#status = status;
  }

  /** Notes that the picture has changed. */
  changed(): void {
    for (const one of this.#subscribers) {
      one.dirty = true;
      one.wake();
    }
  }

  /** Tells why a worker is no longer there; the picture without it follows. */
  gone(gone: WorkerGone): void {
    this.#push(encodeJsonEvent(gone, "worker-gone"));
    this.changed();
  }

  /** Tells a person what is happening. */
  narrate(narration: Narration): void {
    this.#push(encodeJsonEvent(narration, "narration"));
  }

  /** Ends all streams after what is still to be said. */
  close(): void {
    this.#closed = true;
    for (const one of this.#subscribers) one.wake();
  }

  #push(text: string): void {
    for (const one of this.#subscribers) {
      // It comes back and gets the whole picture: better than memory that grows for one slow reader.
      if (one.pending.length >= limits.hiveEventsBehindMax) one.cut = new RbeeError("CONNECTION_LOST");
      else one.pending.push(text);
      one.wake();
    }
  }

  /** Writes events to one reader until it leaves or the hive ends. */
  async serve(out: StreamWriter): Promise<void> {
    let wake = Promise.withResolvers<void>();
    const mine: Subscriber = { dirty: true, pending: [], wake: () => wake.resolve() };
    const leave = () => wake.resolve();
    out.signal.addEventListener("abort", leave, { once: true });
    this.#subscribers.add(mine);
    let nextPictureAt = 0;
    try {
      while (!out.signal.aborted) {
        if (mine.cut) throw mine.cut;
        for (const text of mine.pending.splice(0)) await out.write(text);
        const earlyMs = this.#closed ? 0 : nextPictureAt - performance.now();
        if (mine.dirty && earlyMs <= 0) {
          mine.dirty = false;
          nextPictureAt = performance.now() + limits.hiveEventsCoalesceMs;
          await out.write(encodeJsonEvent(newsFor(mine, await this.#status()), "status"));
        } else if (mine.pending.length === 0) {
          if (this.#closed) return;
          await within(wake.promise, mine.dirty ? earlyMs : limits.keepAliveCommentMs);
          wake = Promise.withResolvers();
        }
      }
    } finally {
      this.#subscribers.delete(mine);
      out.signal.removeEventListener("abort", leave);
    }
  }
}

/** Models are many and change seldom: they are told when they have changed. The same list is the same object. */
function newsFor(reader: Subscriber, status: HiveStatus): HiveStatus {
  const { models, ...rest } = status;
  if (models !== undefined && models === reader.models) return rest;
  reader.models = models;
  return status;
}
