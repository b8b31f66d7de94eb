/**
 * The bounded raw copy of what a task's client was sent: enough to say how far a stream came that broke, and to let a
 * reader of a detached task resume. Parsed only then; while tokens flow it keeps references to the pieces, no more.
 *
 * @module
 */
import { doneText, parseText } from "../protocol/sse.ts";

const boundary = "\n\n";
const encoder = new TextEncoder();
/** One character a byte, so that positions in the text are positions in the bytes. */
const bytesAsText = new TextDecoder("latin1");

/** The last bytes of one stream. Positions count from the stream's begin. */
export class Journal {
  readonly #bytesMax: number;
  #pieces: Uint8Array[] = [];
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

  /** Adds a piece, and lets go of the oldest ones that do not fit. */
  append(piece: string | Uint8Array): Uint8Array {
    const bytes = typeof piece === "string" ? encoder.encode(piece) : piece;
    this.#pieces.push(bytes);
    this.#end += bytes.length;
    while (this.bytes > this.#bytesMax && this.#pieces.length > 1) this.#begin += this.#pieces.shift()!.length;
    this.#notify();
    return bytes;
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
    const start = Math.max(position, this.#begin);
    const all = new Uint8Array(Math.max(0, this.#end - start));
    let at = this.#begin;
    for (const piece of this.#pieces) {
      const skip = Math.max(0, start - at);
      if (skip < piece.length) all.set(piece.subarray(skip), at + skip - start);
      at += piece.length;
    }
    return all;
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
