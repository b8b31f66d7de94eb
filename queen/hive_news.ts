/**
 * What happens to hives, for people who wait for it or watch: each piece goes to whoever listens just then.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Narration } from "../protocol/narration.ts";
import { encodeJsonEvent } from "../protocol/sse.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";

/** One piece of news about a node. */
export type News =
  | { readonly kind: "told"; readonly node: string; readonly narration: Narration }
  | { readonly kind: "connected"; readonly node: string }
  | { readonly kind: "failed"; readonly node: string; readonly error: RbeeError };

type End = Extract<SchedulerEvent, { type: "hiveFailed" | "hiveLost" | "hiveReleased" | "nodeRemoved" }>;

/** Whether nobody needs to wait for that hive any more. */
function isEnd(event: SchedulerEvent): event is End {
  return ["hiveFailed", "hiveLost", "hiveReleased", "nodeRemoved"].includes(event.type);
}

/** Returns what is told of the end of a node's hive. */
export function endNarration(node: string, human: string): Narration {
  return { actor: "queen-rbee", action: "hive-end", target: node, human };
}

/** Takes a piece of news. */
export type NewsListener = (news: News) => void;

/** Hands news on. */
export class HiveNews {
  readonly #listeners = new Set<NewsListener>();
  readonly #over = Promise.withResolvers<void>();

  /** Takes what the scheduler is told as well; most of it is no news. */
  take(event: SchedulerEvent): void {
    if (event.type === "hiveNarration") this.tell(event.node, event.narration);
    // Before its first picture nothing is placed there.
    else if (event.type === "hiveStatus") this.#tell({ kind: "connected", node: event.node });
    else if (isEnd(event)) {
      this.#tell({ kind: "failed", node: event.node, error: event.error });
    }
  }

  /** Tells of a node. */
  tell(node: string, narration: Narration): void {
    this.#tell({ kind: "told", node, narration });
  }

  #tell(news: News): void {
    for (const listener of this.#listeners) listener(news);
  }

  /** Listens until it is disposed. */
  listen(listener: NewsListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Writes what is told, as narration events, until the reader leaves or nothing is told any more. */
  async follow(out: StreamWriter): Promise<void> {
    const left = Promise.withResolvers<void>();
    out.signal.addEventListener("abort", () => left.resolve(), { once: true });
    // A reader that is slow is let go by its stream; one that has left needs no words.
    const write = (text: string) => out.write(text).catch(() => {});
    using _listening = this.listen((news) => {
      if (news.kind === "told") void write(encodeJsonEvent(news.narration, "narration"));
    });
    await write(": following\n\n"); // sends the headers at once: whoever asks waits for them
    await Promise.race([left.promise, this.#over.promise]);
  }

  /** Ends all streams: the last word has been said. */
  close(): void {
    this.#over.resolve();
  }
}
