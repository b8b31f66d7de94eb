/**
 * Lists of values by a key, kept as they change, so that nobody searches all of them.
 *
 * @module
 */

/** Values by key, in the order in which they came. */
export class ByKey<T> {
  readonly #lists = new Map<string, T[]>();

  /** Returns the values of a key. Live. */
  get(key: string): readonly T[] {
    return this.#lists.get(key) ?? [];
  }

  /** Adds a value. */
  add(key: string, value: T): void {
    const list = this.#lists.get(key);
    if (list) list.push(value);
    else this.#lists.set(key, [value]);
  }

  /** Takes a value out; nothing happens when it is not there. */
  remove(key: string, value: T): void {
    const list = this.#lists.get(key);
    const at = list?.indexOf(value) ?? -1;
    if (at < 0) return;
    if (list!.length === 1) this.#lists.delete(key);
    // A new list: whoever goes through the old one right now is not disturbed.
    else this.#lists.set(key, list!.filter((one) => one !== value));
  }
}
