/**
 * Time that passes only when nothing is left to do at the moment.
 *
 * @module
 */

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock and what is to happen when. */
export class FakeClock {
  /** Milliseconds since the begin. */
  now = 0;
  #entries: Entry[] = [];
  #order = 0;

  /** Runs something later. Returns what takes it back. */
  after(ms: number, run: () => void): () => void {
    const entry = { at: this.now + ms, order: this.#order++, run };
    // A sorted array: a run has a few thousand entries, most of them soon.
    let at = this.#entries.length;
    while (at > 0 && this.#entries[at - 1].at > entry.at) at--;
    this.#entries.splice(at, 0, entry);
    return () => {
      const found = this.#entries.indexOf(entry);
      if (found >= 0) this.#entries.splice(found, 1);
    };
  }

  /** Goes to the next entry and runs it. Returns false when there is none until `endMs`. */
  step(endMs: number): boolean {
    const next = this.#entries[0];
    if (!next || next.at > endMs) return false;
    this.#entries.shift();
    this.now = next.at;
    next.run();
    return true;
  }
}
