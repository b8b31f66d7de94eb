/**
 * Time that passes only when nothing is left to do at the moment.
 *
 * @module
 */

interface Entry {
  readonly at: number;
  readonly order: number;
  run?: () => void;
}

const isBefore = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order);

/** A clock and what is to happen when. */
export class FakeClock {
  /** Milliseconds since the begin. */
  now = 0;
  /** A binary heap: the largest runs have many thousand entries. */
  readonly #heap: Entry[] = [];
  #order = 0;

  /** Runs something later. Returns what takes it back. */
  after(ms: number, run: () => void): () => void {
    const entry: Entry = { at: this.now + ms, order: this.#order++, run };
    this.#push(entry);
    return () => void (entry.run = undefined);
  }

  /** Goes to the next entry and runs it. Returns false when there is none until `endMs`. */
  step(endMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (!next || next.at > endMs) return false;
      this.#pop();
      if (!next.run) continue; // taken back
      this.now = next.at;
      next.run();
      return true;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    for (let up = (at - 1) >> 1; at > 0 && isBefore(entry, heap[up]); at = up, up = (at - 1) >> 1) heap[at] = heap[up];
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (let down = 1; down < heap.length; down = 2 * at + 1) {
      if (down + 1 < heap.length && isBefore(heap[down + 1], heap[down])) down++;
      if (!isBefore(heap[down], last)) break;
      heap[at] = heap[down];
      at = down;
    }
    heap[at] = last;
  }
}
