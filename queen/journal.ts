/**
 * The bounded raw copy of what a task's client was sent: enough to say how far a stream came that broke, and to let a
 * reader of a detached task resume. Parsed only then; while tokens flow it copies bytes, no more.
 *
 * @module
 */
import { doneText, parseText } from "../protocol/sse.ts";

const boundary = "\n\n";
const encoder = new TextEncoder();
/** One character a byte, so that positions in the text are positions in the bytes. */
const bytesAsText = new TextDecoder("latin1");

const firstBytes = 4 * 1024;
/** How much more than the wanted bytes there is room for: so the kept ones move once a quarter, not with each piece. */
const spareShare = 1.25;

/**
 * The last bytes of one stream. Positions count from the stream's begin. The bytes are copied: a piece that comes from
 * `fetch` is a small view of a large buffer, and keeping views kept 45 KB a token alive.
 */
export class Journal {
  readonly #bytesMax: number;
  #buffer = new Uint8Array(firstBytes);
  /** Where in the buffer the kept bytes begin. */
  #offset = 0;
  #begin = 0;
  #end = 0;
  #isClosed = false;
  #changed = Promise.withResolvers<void>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Position behind the last byte. */
  get end(): number {
    return this.#end;
  }

  /** Position of the oldest byte that is kept. */
  get begin(): number {
    return this.#begin;
  }

  /** How many bytes are kept. */
  get bytes(): number {
    return this.#end - this.#begin;
  }

  /** Whether nothing will be added any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when something was added, or it was closed. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Adds a piece, and lets go of the oldest bytes that do not fit. Returns the piece as bytes. */
  append(piece: string | Uint8Array): Uint8Array {
    const bytes = typeof piece === "string" ? encoder.encode(piece) : piece;
    const skipped = Math.max(0, bytes.length - this.#bytesMax);
    this.#drop(this.bytes + bytes.length - this.#bytesMax);
    this.#makeRoom(bytes.length - skipped);
    this.#buffer.set(bytes.subarray(skipped), this.#offset + this.bytes);
    this.#end += bytes.length;
    this.#begin += skipped;
    this.#notify();
    return bytes;
  }

  /** Lets go of the oldest bytes. */
  #drop(count: number): void {
    const dropped = Math.min(Math.max(0, count), this.bytes);
    this.#begin += dropped;
    this.#offset += dropped;
  }

  /** Makes room behind the kept bytes: moves them to the front, or into a larger buffer. */
  #makeRoom(wanted: number): void {
    const kept = this.bytes;
    if (this.#offset + kept + wanted <= this.#buffer.length) return;
    const capacityMax = Math.ceil(this.#bytesMax * spareShare);
    const capacity = Math.min(capacityMax, Math.max(2 * this.#buffer.length, kept + wanted));
    if (capacity > this.#buffer.length) {
      const larger = new Uint8Array(capacity);
      larger.set(this.#buffer.subarray(this.#offset, this.#offset + kept));
      this.#buffer = larger;
    } else this.#buffer.copyWithin(0, this.#offset, this.#offset + kept);
    this.#offset = 0;
  }

  /** Nothing follows any more. */
  close(): void {
    this.#isClosed = true;
    this.#notify();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Returns the kept bytes from a position on; from the oldest kept one when that is later. */
  from(position: number): Uint8Array<ArrayBuffer> {
    const skip = Math.max(position, this.#begin) - this.#begin;
    return this.#buffer.slice(this.#offset + skip, this.#offset + this.bytes);
  }

  /** Returns the last characters, at most `charsMax`; the first of them may be half a character. */
  tail(charsMax: number): string {
    return new TextDecoder().decode(this.from(this.#end - charsMax));
  }

  /** Whether the stream has had its end mark. */
  get isFinished(): boolean {
    return this.tail(doneText.length) === doneText;
  }

  /** Whether the last byte closes an event, so that another one can follow. */
  get isAtBoundary(): boolean {
    return this.#end === 0 || this.tail(boundary.length) === boundary;
  }

  /** Where reading may begin: the first event that is kept whole. */
  get firstEvent(): number {
    if (this.#begin === 0) return 0;
    const at = bytesAsText.decode(this.from(0)).indexOf(boundary);
    return at < 0 ? this.#end : this.#begin + at + boundary.length;
  }

  /** Returns the position behind the event with that id; of the first whole event when it is not kept. */
  after(id: string): number {
    const first = this.firstEvent;
    const text = bytesAsText.decode(this.from(first));
    let found = first;
    for (let at = 0, next = text.indexOf(boundary); next >= 0; at = next, next = text.indexOf(boundary, at)) {
      const event = text.slice(at, next);
      next += boundary.length;
      if (event.split("\n").includes(`id: ${id}`)) found = first + next; // the last one: held-back text repeats an id
    }
    return found;
  }

  /** Returns how many tokens were sent: the highest index among the token events that are kept, plus one. */
  tokens(): number {
    const text = new TextDecoder().decode(this.from(this.firstEvent));
    return parseText(text).reduce((most, event) => Math.max(most, tokenIndex(event.data) + 1), 0);
  }

  /** Whether the last event before the end mark was an error. */
  endedWithError(): boolean {
    const before = this.tail(tailChars).slice(0, -doneText.length);
    return before.slice(before.lastIndexOf(`${boundary}data: `)).startsWith(`${boundary}data: {"error"`);
  }
}

/** An error event with its causes is far shorter. */
const tailChars = 16 * 1024;

function tokenIndex(data: string): number {
  try {
    const index = (JSON.parse(data) as { index?: unknown }).index;
    return typeof index === "number" ? index : -1;
  } catch {
    return -1; // the end mark, or a line that was cut
  }
}
