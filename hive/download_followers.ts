/**
 * Who follows a download: they are told of it as S16 says, and hold it by that.
 *
 * @module
 */
import type { Narration } from "../protocol/narration.ts";
import { limits } from "../protocol/limits.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import { sleep } from "../runtime/call.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";

/** What followers are told of. */
export interface Followed {
  /** Returns how far it is. */
  readonly progress: () => ProgressEvent;
  /** Called when nobody has followed it for a while. */
  readonly onLeft: () => void;
}

/** The followers of one download. */
export class Followers {
  readonly #followed: Followed;
  #count = 0;
  #timer: number | undefined;
  #change = Promise.withResolvers<void>();
  #end: ProgressEvent | undefined;
  readonly #words: Narration[] = [];
  /** Lines that were forgotten. */
  #wordsGone = 0;

  constructor(followed: Followed) {
    this.#followed = followed;
    this.#wait(limits.downloadFirstMs);
  }

  /** Something has changed. */
  changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Tells a person something. */
  say(words: Narration): void {
    this.#words.push(words);
    if (this.#words.length > limits.downloadWordsMax) {
      this.#words.shift();
      this.#wordsGone++;
    }
    this.changed();
  }

  /** Somebody says that they will follow it. */
  expect(): void {
    if (this.#count === 0) this.#wait(limits.downloadFirstMs);
  }

  /** It has ended; whoever comes later is told just that. */
  end(event: ProgressEvent): void {
    this.#end = event;
    clearTimeout(this.#timer);
    this.changed();
  }

  /** Writes to one follower until the download has ended or the follower leaves. */
  async serve(out: StreamWriter): Promise<void> {
    this.#count++;
    clearTimeout(this.#timer);
    try {
      await this.#tell(out);
    } finally {
      if (--this.#count === 0) this.#wait(limits.downloadLingerMs);
    }
  }

  async #tell(out: StreamWriter): Promise<void> {
    for (let said = 0;;) {
      for (said = Math.max(said, this.#wordsGone); said < this.#wordsGone + this.#words.length; said++) {
        await out.write(encodeJsonEvent(this.#words[said - this.#wordsGone], "narration"));
      }
      if (this.#end) {
        await out.write(encodeJsonEvent(this.#end));
        return await out.write(doneText);
      }
      const change = this.#change.promise;
      await out.write(encodeJsonEvent(this.#followed.progress()));
      await sleep(limits.downloadProgressMs, out.signal);
      await unless(out.signal, change);
    }
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#end) return;
    this.#timer = setTimeout(() => this.#followed.onLeft(), ms);
  }
}

/** Resolves with the promise; rejects when the signal aborts first. */
async function unless(signal: AbortSignal, promise: Promise<void>): Promise<void> {
  if (signal.aborted) throw signal.reason;
  const gone = Promise.withResolvers<never>();
  const leave = () => gone.reject(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  try {
    await Promise.race([promise, gone.promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
