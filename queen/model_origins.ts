/**
 * Who draws which model from its hub just now: machines that want the same one wait for it and copy it then, so that it
 * crosses the internet once.
 *
 * @module
 */

/** A fetch from a hub that is under way. */
export interface Draw {
  readonly node: string;
  /** Resolves at its end: whether the model is on that node's disk now. Never rejects. */
  readonly done: Promise<boolean>;
}

/** All such fetches of a queen. */
export class Origins {
  readonly #draws = new Map<string, Draw>();

  /** Returns the fetch of a model that is under way. */
  of(model: string): Draw | undefined {
    return this.#draws.get(model);
  }

  /** Runs a fetch that others can wait for from this moment on. Throws what it throws. */
  async draw<T>({ node, model }: { node: string; model: string }, act: () => Promise<T>): Promise<T> {
    const end = Promise.withResolvers<boolean>();
    const mine: Draw = { node, done: end.promise };
    this.#draws.set(model, mine);
    let isThere = false;
    try {
      const fetched = await act();
      isThere = true;
      return fetched;
    } finally {
      if (this.#draws.get(model) === mine) this.#draws.delete(model);
      end.resolve(isThere);
    }
  }
}
