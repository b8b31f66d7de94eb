/**
 * `deno task sim [--seed N] [--runs N] [--large] [--trace]`: the scheduler under seeded faults. A failing seed prints itself and
 * replays exactly.
 *
 * @module
 */
import { largeRun, RuleBroken, type RunResult, Simulation } from "./simulation.ts";

const encoder = new TextEncoder();
const print = (text: string) => Deno.stdout.writeSync(encoder.encode(text + "\n"));

function flag(name: string, otherwise: number): number {
  const at = Deno.args.indexOf(name);
  const value = at < 0 ? otherwise : Number(Deno.args[at + 1]);
  if (Number.isInteger(value) && value >= 0) return value;
  print(
    `Cannot use ${name}: it must be a whole number. Usage: deno task sim [--seed N] [--runs N] [--large] [--trace]`,
  );
  Deno.exit(2);
}

const first = flag("--seed", Math.floor(Math.random() * 1_000_000));
const isLarge = Deno.args.includes("--large");
const runs = flag("--runs", isLarge ? 1 : 1_000);
const ends: Record<string, number> = {};
let tasks = 0;
let failed = 0;
let [spawned, fetched, evicted] = [0, 0, 0];

for (let seed = first; seed < first + runs; seed++) {
  const simulation = new Simulation(seed, isLarge ? largeRun : undefined);
  try {
    const result: RunResult = simulation.run();
    tasks += result.tasks;
    spawned += result.spawned;
    fetched += result.fetched;
    evicted += result.evicted;
    for (const [name, count] of Object.entries(result.ends)) ends[name] = (ends[name] ?? 0) + count;
  } catch (error) {
    failed++;
    print(error instanceof RuleBroken ? error.message : `seed ${seed}: ${(error as Error).stack}`);
  }
  if (Deno.args.includes("--trace")) print(simulation.trace.join("\n"));
}

print(`${runs} runs from seed ${first}, ${tasks} tasks, ${failed} failed`);
print(`  ${spawned} workers started, ${fetched} models fetched, ${evicted} workers ended`);
for (const [name, count] of Object.entries(ends).sort((a, b) => b[1] - a[1])) print(`  ${count} ${name}`);
Deno.exit(failed > 0 ? 1 : 0);
