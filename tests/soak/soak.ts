/**
 * Plays faults round by round, each round with chance of its own, so that one seed strikes at the same moments again.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { SeededRandom } from "../sim/seeded_random.ts";
import { join } from "../../runtime/path.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { World } from "../support/world.ts";
import type { Fault } from "./fault.ts";
import { Tally } from "./report.ts";
import { playRound } from "./round.ts";

/** How to play. */
export interface SoakOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Instead of `rounds`. */
  readonly minutes?: number;
  readonly print: (line: string) => void;
  /** Told of each world while it is in use. */
  readonly onWorld: (world: World) => void;
}

/** Plays all of them and returns one tally for each; prints its line when a fault is through. */
export async function soak(faults: readonly Fault[], options: SoakOptions): Promise<Tally[]> {
  return options.minutes === undefined
    ? await oneByOne(faults, options)
    : await inTurn(faults, options, performance.now() + options.minutes * 60_000);
}

async function oneByOne(faults: readonly Fault[], options: SoakOptions): Promise<Tally[]> {
  const tallies: Tally[] = [];
  for (const fault of faults) {
    const tally = new Tally(fault.name);
    tallies.push(tally);
    const to = options.rounds * (fault.timesRounds ?? 1);
    for (let round = 1; round <= to;) {
      // A round that failed may have left anything behind: the next one begins in a new world.
      round = await playUntilFailure(fault, { tally, options, round, to });
    }
    options.print(tally.line());
  }
  return tallies;
}

async function inTurn(faults: readonly Fault[], options: SoakOptions, until: number): Promise<Tally[]> {
  const tallies = faults.map((fault) => new Tally(fault.name));
  for (let round = 1; performance.now() < until; round++) {
    for (const [at, fault] of faults.entries()) {
      if (performance.now() >= until) break;
      await playUntilFailure(fault, { tally: tallies[at], options, round, to: round });
    }
  }
  for (const tally of tallies) if (tally.rounds > 0) options.print(tally.line());
  return tallies.filter((tally) => tally.rounds > 0);
}

interface Stretch {
  readonly tally: Tally;
  readonly options: SoakOptions;
  readonly round: number;
  readonly to: number;
}

/** Plays rounds in one world, and returns the number of the next round. */
async function playUntilFailure(fault: Fault, { tally, options, round, to }: Stretch): Promise<number> {
  await using world = new World();
  if (fault.config) world.configure(fault.config);
  options.onWorld(world);
  for (; round <= to; round++) {
    try {
      tally.passed(await playRound(fault, { world, chance: chanceOf(options.seed, fault.name, round) }));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      tally.failed({ round, message });
      const file = report(world, { fault, round, seed: options.seed, message });
      options.print(`✗ ${fault.name}, round ${round}: ${message.split("\n")[0]}\n  ${file}`);
      return round + 1;
    }
  }
  return round;
}

/** Returns the chance of one round: the same for the same seed, fault and number, whatever else is played. */
export function chanceOf(seed: number, fault: string, round: number): SeededRandom {
  const digest = createHash("sha256").update(`${seed} ${fault} ${round}`).digest();
  return new SeededRandom(digest.readUInt32LE());
}

/** Writes what happened to a file and returns its path. */
function report(world: World, told: { fault: Fault; round: number; seed: number; message: string }): string {
  const { fault, round, seed, message } = told;
  const path = join(temporaryFolder(), `rbee-soak-${seed}-${fault.name}-${round}.txt`);
  Deno.writeTextFileSync(path, `${fault.what}\n\n${message}\n\n${world.report()}\n`, { mode: 0o600 });
  return path;
}
