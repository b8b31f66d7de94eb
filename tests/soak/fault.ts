/**
 * What a fault is: it is played into a world, strikes at a moment that chance chose, and says what must be gone then.
 *
 * @module
 */
import type { SeededRandom } from "../sim/seeded_random.ts";
import { pause } from "../support/eventually.ts";
import type { Finished } from "../support/program.ts";
import type { World } from "../support/world.ts";

/** Where one round plays. */
export interface Stage {
  readonly world: World;
  readonly chance: SeededRandom;
}

/** What is known right after the fault. */
export interface Struck {
  /** `performance.now()` of the moment from which the time until all is gone counts. */
  readonly at: number;
  /** How the commands ended whose ends the fault has judged already. */
  readonly exits: readonly Finished[];
  /** Returns what is still there of what must go. Absent: all that is left in the world. */
  readonly left?: () => string[] | Promise<string[]>;
  /** No orphan may be left after this time; `orphanMs` when absent. */
  readonly withinMs?: number;
  /** What was counted in this round, by its name in the plural; summed up in the fault's line. */
  readonly counts?: Readonly<Record<string, number>>;
  /** What else must hold once that is gone: the view that the daemons give. */
  readonly afterwards?: () => Promise<void>;
}

/** One kind of fault. */
export interface Fault {
  /** `kill-queen-mid-stream`. */
  readonly name: string;
  /** One line for a person. */
  readonly what: string;
  /** Whether a queen that stays is left after it, to be ended by `rbee down`. */
  readonly persistent: boolean;
  /** It is played so many times the rounds that the others are. */
  readonly timesRounds?: number;
  /** Keys of the configuration that make long limits short. */
  readonly config?: Record<string, Record<string, unknown>>;
  /** Prepares, strikes and judges how the commands concerned ended. Throws what is not as promised. */
  readonly play: (stage: Stage) => Promise<Struck>;
}

/** Returns the processes of a world that live, for `Struck.left`. */
export function livingIn(world: World): string[] {
  return world.processes().map(({ pid, args }) => `process ${pid} ${args.join(" ").slice(0, 80)}`);
}

/** No orphan may be left after this time. */
export const orphanMs = 15_000;

/** The whole ladder, where something must be killed that does not listen. */
export const ladderMs = 30_000;

/** Waits for a while that chance chooses. */
export async function aWhile(chance: SeededRandom, msMax: number): Promise<void> {
  await pause(chance.between(0, msMax));
}
