/**
 * `deno task soak [--rounds N] [--only NAME] [--minutes M] [--seed N] [--list]`: every fault in its full counts, on
 * fresh executables. Prints a line for each fault; the last line is `N passed, N failed`, of rounds.
 *
 * @module
 */
import { compileAll } from "../../build/compile.ts";
import { killAll } from "../support/processes.ts";
import type { World } from "../support/world.ts";
import { faults } from "./faults.ts";
import { parseSoakFlags, usage } from "./flags.ts";
import { soak } from "./soak.ts";

const encoder = new TextEncoder();
const print = (text: string) => void Deno.stdout.writeSync(encoder.encode(`${text}\n`));

/** Returns the exit code. */
async function main(): Promise<number> {
  const flags = parseSoakFlags(Deno.args);
  if (typeof flags === "string") return wrongUsage(flags);
  const chosen = faults(flags.only);
  if (chosen.length === 0) return wrongUsage(`Cannot find a fault named ${flags.only}: try --list`);
  if (flags.list) {
    for (const { name, what } of chosen) print(`${name.padEnd(28)} ${what}`);
    return 0;
  }
  await compileAll();
  let world: World | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Its folder goes when the next run begins; its processes must not wait for that.
    Deno.addSignalListener(signal, () => {
      killAll(world?.processes() ?? []);
      Deno.exit(130);
    });
  }
  const { seed, rounds, minutes } = flags;
  const howLong = minutes === undefined ? `${rounds} rounds of each` : `in turn for ${minutes} minutes`;
  print(`${chosen.length} faults, ${howLong}; the same moments again: --seed ${seed}`);
  const tallies = await soak(chosen, { seed, rounds, minutes, print, onWorld: (used) => world = used });
  const failed = tallies.reduce((sum, tally) => sum + tally.failures.length, 0);
  const played = tallies.reduce((sum, tally) => sum + tally.rounds, 0);
  print(`${played - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function wrongUsage(message: string): number {
  print(`${message}\n${usage}`);
  return 2;
}

Deno.exit(await main());
