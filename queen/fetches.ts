/**
 * Models that are on their way to machines' disks: one fetch for each machine and model, however many tasks wait for
 * it; it ends when nobody does. Pure.
 *
 * @module
 */
import type { ModelFacts } from "../protocol/model.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import type { FetchView, Takes } from "./known.ts";
import type { Outbox } from "./outbox.ts";

/** One of them. */
export interface Fetch extends FetchView {
  bytesLeft: number;
  /** Where it comes from: another machine, or the hub. */
  readonly from?: string;
  /** What the worker takes that it is fetched for: that much of the machine's memory is spoken for. */
  readonly takes?: Takes;
  readonly startedAt: number;
  /** What was known of it at the start: that may be forgotten until it has come. */
  readonly facts?: ModelFacts;
  bytesCome: number;
}

/** What a fetch is started with. */
export interface FetchWish {
  readonly node: string;
  readonly model: string;
  readonly from?: string;
  readonly takes?: Takes;
  readonly bytes: number;
  readonly facts?: ModelFacts;
  readonly correlationId?: string;
}

/** Bytes per second that are assumed until a fetch was seen. */
const usualBytesPerSecond = 20e6;

/** All fetches. */
export class Fetches {
  readonly #fetches = new Map<string, Fetch>();
  readonly #out: Outbox;
  #made = 0;
  /** Of the fetches that were seen, the newest counting most. */
  bytesPerSecond: number = usualBytesPerSecond;

  constructor(out: Outbox) {
    this.#out = out;
  }

  /** Returns all of them, oldest first. */
  all(): Fetch[] {
    return [...this.#fetches.values()];
  }

  /** Returns one, or undefined. */
  get(id: string): Fetch | undefined {
    return this.#fetches.get(id);
  }

  /** Returns those to a machine. */
  to(node: string): Fetch[] {
    return this.#fetches.size === 0 ? [] : this.all().filter((fetch) => fetch.node === node);
  }

  /** Starts a fetch, or finds the one of this model to this machine. Returns its id. */
  start({ node, model, from, takes, bytes, facts, correlationId }: FetchWish): string {
    const same = this.to(node).find((fetch) => fetch.model === model);
    if (same) return same.id;
    const id = `fetch-${++this.#made}`;
    this.#fetches.set(id, {
      id,
      node,
      model,
      from,
      takes,
      bytesLeft: bytes,
      bytesCome: 0,
      facts,
      startedAt: this.#out.now,
    });
    this.#out.emit({ type: "fetchModel", fetch: id, node, model, from, correlationId });
    return id;
  }

  /** Notes how far one is. Returns it. */
  progress(id: string, progress: ProgressEvent): Fetch | undefined {
    const fetch = this.#fetches.get(id);
    if (!fetch || progress.stage !== "downloading") return fetch;
    fetch.bytesCome = progress.bytes_downloaded;
    fetch.bytesLeft = Math.max(0, progress.bytes_total - progress.bytes_downloaded);
    return fetch;
  }

  /** Forgets one that is done or has failed. Returns it, or undefined when it was stopped before. */
  remove(id: string): Fetch | undefined {
    const fetch = this.#fetches.get(id);
    this.#fetches.delete(id);
    return fetch;
  }

  /** Notes how fast one was that is done. */
  measure({ bytesLeft, bytesCome, startedAt }: Fetch): void {
    const seconds = (this.#out.now - startedAt) / 1_000;
    const rate = (bytesLeft + bytesCome) / seconds;
    if (seconds >= 1 && rate > 0) this.bytesPerSecond = (this.bytesPerSecond + rate) / 2;
  }

  /** Ends one that nobody waits for any more. */
  stop(id: string): Fetch | undefined {
    const fetch = this.remove(id);
    if (fetch) this.#out.emit({ type: "stopFetch", fetch: id });
    return fetch;
  }
}
