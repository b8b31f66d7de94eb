/**
 * Stop strings in a text that comes in pieces: a match may lie across pieces, so whatever could still become one is
 * held back until it is decided.
 *
 * @module
 */

/** Watches one text for its stop strings. */
export class StopText {
  readonly #stops: readonly string[];
  #held = "";
  #found = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Whether a stop string was met; nothing follows then. */
  get found(): boolean {
    return this.#found;
  }

  /** Returns what can be given out after this piece: all before a match, or all that cannot become part of one. */
  push(piece: string): string {
    if (this.#stops.length === 0) return piece;
    if (this.#found) return "";
    const text = this.#held + piece;
    const match = this.#firstMatch(text);
    if (match >= 0) {
      this.#found = true;
      this.#held = "";
      return text.slice(0, match);
    }
    const undecided = this.#undecidedFrom(text);
    this.#held = text.slice(undecided);
    return text.slice(0, undecided);
  }

  /** Returns what is still held back, once the text has ended without a match. */
  rest(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  #firstMatch(text: string): number {
    const places = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    return places.length === 0 ? -1 : Math.min(...places);
  }

  /** Where the longest end of the text begins that is the beginning of a stop string; its length when there is none. */
  #undecidedFrom(text: string): number {
    const longest = Math.max(...this.#stops.map((stop) => stop.length)) - 1;
    for (let at = Math.max(0, text.length - longest); at < text.length; at++) {
      const end = text.slice(at);
      if (this.#stops.some((stop) => stop.startsWith(end))) return at;
    }
    return text.length;
  }
}
