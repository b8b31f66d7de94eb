/**
 * The command line of `deno task soak`.
 *
 * @module
 */
import { parseArgs } from "node:util";

/** What to run. */
export interface SoakFlags {
  /** Of each fault. */
  readonly rounds: number;
  /** Only faults whose name holds this. */
  readonly only?: string;
  /** Instead of `rounds`: one round of each in turn until the time is over. */
  readonly minutes?: number;
  /** The same seed strikes at the same moments. */
  readonly seed: number;
  /** Print the faults and end. */
  readonly list: boolean;
}

/** The line that tells how to use it. */
export const usage = "Usage: deno task soak [--rounds N] [--only NAME] [--minutes M] [--seed N] [--list]";

const roundsDefault = 20;
const seedsMax = 1_000_000_000;

/** Returns the flags; the text of what is wrong when they cannot be used. */
export function parseSoakFlags(args: readonly string[]): SoakFlags | string {
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { rounds: text, only: text, minutes: text, seed: text, list: { type: "boolean" } },
    });
    const rounds = whole("--rounds", values.rounds, roundsDefault);
    const seed = whole("--seed", values.seed, Math.floor(Math.random() * seedsMax));
    const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
    if (minutes !== undefined && !(minutes > 0)) throw new Error("Cannot use --minutes: it must be above 0");
    if (rounds < 1) throw new Error("Cannot use --rounds: it must be at least 1");
    return { rounds, seed, minutes, only: values.only, list: values.list ?? false };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function whole(flag: string, value: string | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new Error(`Cannot use ${flag}: it must be a whole number`);
}
