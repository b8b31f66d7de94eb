/**
 * What the rounds of one fault came to, as one line.
 *
 * @module
 */
import type { RoundResult } from "./round.ts";

/** A round that went wrong. */
export interface Failure {
  readonly round: number;
  readonly message: string;
}

/** Counts the rounds of one fault. */
export class Tally {
  readonly name: string;
  readonly failures: Failure[] = [];
  readonly #good: RoundResult[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Counts a good round. */
  passed(result: RoundResult): void {
    this.#good.push(result);
  }

  /** Counts a bad round. */
  failed(failure: Failure): void {
    this.failures.push(failure);
  }

  /** How many rounds were played. */
  get rounds(): number {
    return this.#good.length + this.failures.length;
  }

  /** Whether it was played and never failed. */
  get isGood(): boolean {
    return this.rounds > 0 && this.failures.length === 0;
  }

  /** Returns the line: counts, the worst and the middle time until all was gone, how the commands ended. */
  line(): string {
    const times = this.#good.map((result) => result.goneMs).sort((a, b) => a - b);
    const seconds = (ms: number | undefined) => ms === undefined ? "-" : `${(ms / 1_000).toFixed(2)} s`;
    const gone = `gone after ${seconds(times.at(-1))} at worst, ${
      seconds(times[Math.floor(times.length / 2)])
    } usually`;
    const counts = `${this.rounds} rounds, ${this.failures.length} failed`;
    const exits = this.#exits();
    const more = this.#counts();
    return `${this.isGood ? "✓" : "✗"} ${this.name.padEnd(28)} ${counts}; ${gone}${exits && `; exits ${exits}`}${
      more && `; ${more}`
    }`;
  }

  #counts(): string {
    const sums = new Map<string, number>();
    for (const [name, count] of this.#good.flatMap((result) => Object.entries(result.counts ?? {}))) {
      sums.set(name, (sums.get(name) ?? 0) + count);
    }
    return [...sums].map(([name, sum]) => `${sum} ${name}`).join(", ");
  }

  #exits(): string {
    const counts = new Map<string, number>();
    for (const exit of this.#good.flatMap((result) => result.exits)) counts.set(exit, (counts.get(exit) ?? 0) + 1);
    return [...counts].map(([exit, count]) => `${exit} × ${count}`).join(", ");
  }
}
