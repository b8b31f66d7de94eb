/**
 * Who holds an ephemeral queen alive: the keepers whose `GET /v2/attach` is open.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";

/** How it behaves. */
export interface AttachOptions {
  /** Called once, when nobody came in time, or the last one left and nobody came back. Absent: nothing ends. */
  onEmpty?: () => void;
  firstMs?: number;
  lingerMs?: number;
}

/** The open streams, and the timer that runs while there is none. */
export class Attach implements Disposable {
  readonly #options: AttachOptions;
  #held = 0;
  #timer?: number;

  constructor(options: AttachOptions = {}) {
    this.#options = options;
    this.#arm(options.firstMs ?? limits.attachFirstMs);
  }

  /** How many keepers are attached. */
  get held(): number {
    return this.#held;
  }

  /** Holds one stream until its client leaves, however it does. */
  async hold(out: StreamWriter): Promise<void> {
    this.#held++;
    clearTimeout(this.#timer);
    try {
      await out.write(": attached\n\n"); // sends the headers at once: whoever attaches waits for them
      await new Promise<void>((resolve) => {
        if (out.signal.aborted) resolve();
        else out.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    } catch {
      // it left while we wrote
    } finally {
      this.#held--;
      // A little later: a person's next command comes often right after the last one.
      if (this.#held === 0) this.#arm(this.#options.lingerMs ?? limits.attachLingerMs);
    }
  }

  #arm(ms: number): void {
    if (!this.#options.onEmpty) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#held === 0 && this.#options.onEmpty?.(), ms);
  }

  /** Stops the timer. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#options.onEmpty = undefined;
  }
}
