/**
 * In which order waiting tasks are given slots: of each model round after round over the clients, each client's own in
 * the order of their arrival. A client with a hundred waiting tasks does not keep another one's first task waiting. Pure.
 *
 * @module
 */

/** A waiting task as this order sees it. */
export interface Waiting {
  readonly model: string;
  readonly client: string;
}

/** How many turns the clients of one model have had. */
interface Turns {
  /** The turn that was given last: whoever comes anew begins here, and has nothing saved up. */
  now: number;
  readonly had: Map<string, number>;
}

/** Whose turn it is. */
export class Fairness {
  readonly #models = new Map<string, Turns>();

  /** Returns the tasks in the order of their turns; those given must be in the order of arrival. */
  order<T extends Waiting>(waiting: readonly T[]): T[] {
    const groups = new Map<string, T[]>();
    for (const task of waiting) {
      const group = groups.get(task.model);
      if (group) group.push(task);
      else groups.set(task.model, [task]);
    }
    for (const model of this.#models.keys()) if (!groups.has(model)) this.#models.delete(model);
    return [...groups].flatMap(([model, tasks]) => this.#orderOf(model, tasks));
  }

  #orderOf<T extends Waiting>(model: string, tasks: T[]): T[] {
    if (tasks.every((task) => task.client === tasks[0].client)) return tasks;
    const turns = this.#models.get(model);
    const next = new Map<string, number>();
    const ranked = tasks.map((task, arrival) => {
      const turn = next.get(task.client) ?? Math.max(turns?.now ?? 0, turns?.had.get(task.client) ?? 0);
      next.set(task.client, turn + 1);
      return { task, turn, arrival };
    });
    return ranked.sort((a, b) => a.turn - b.turn || a.arrival - b.arrival).map(({ task }) => task);
  }

  /** Notes that a task was given a slot. */
  take({ model, client }: Waiting): void {
    const turns = this.#models.get(model) ?? { now: 0, had: new Map() };
    this.#models.set(model, turns);
    const turn = Math.max(turns.now, turns.had.get(client) ?? 0);
    turns.now = turn;
    turns.had.set(client, turn + 1);
    for (const [one, had] of turns.had) if (had <= turns.now) turns.had.delete(one); // nothing to remember
  }

  /** Notes that the slot was none: the task keeps its turn. */
  giveBack({ model, client }: Waiting): void {
    const turns = this.#models.get(model);
    const had = turns?.had.get(client);
    if (turns && had !== undefined) turns.had.set(client, had - 1);
  }
}
