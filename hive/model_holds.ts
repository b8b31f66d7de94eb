/**
 * Models that are about to be used: a worker is being started for them.
 *
 * @module
 */
/** References that are about to be used. */
export class ModelHolds {
  readonly #held = new Map<string, number>();

  /** Says that a model is about to be used, until disposed: it is not removed meanwhile. */
  hold(text: string): Disposable {
    this.#held.set(text, (this.#held.get(text) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = this.#held.get(text)! - 1;
        if (left === 0) this.#held.delete(text);
        else this.#held.set(text, left);
      },
    };
  }

  /** The references that are held now. */
  held(): string[] {
    return [...this.#held.keys()];
  }
}
