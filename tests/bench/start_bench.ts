/**
 * How long a person waits for help and for the first token, and how much memory idle daemons hold.
 *
 * @module
 */
import { pause } from "../support/eventually.ts";
import type { Program } from "../support/program.ts";
import { World } from "../support/world.ts";
import { median, percentile, say, sayTable } from "./figures.ts";

const infer = ["infer", "--prompt", "write a short story", "--max-tokens", "16"];

/** Measures and prints. */
export async function run(): Promise<void> {
  say("\nstart, from executables; median and slowest");
  const rows: (string | number)[][] = [["", "median", "slowest", "goal"]];
  rows.push(row("rbee --help, ms", await helpMs(15), "100"));
  const cold = await coldMs(5);
  rows.push(row("cold infer: first token, ms", cold.firstToken, "1500"));
  rows.push(row("cold infer: until it has ended, ms", cold.ended, ""));
  const { firstToken, ended, memory } = await warm(9);
  rows.push(row("warm infer: first token, ms", firstToken, "300"));
  rows.push(row("warm infer: until it has ended, ms", ended, ""));
  for (const [program, mebibytes] of memory) rows.push(row(`idle ${program}, MiB resident`, [mebibytes], "90"));
  sayTable(rows);
}

function row(name: string, values: readonly number[], goal: string): (string | number)[] {
  return [name, median(values), percentile(values, 1), goal];
}

async function helpMs(times: number): Promise<number[]> {
  await using world = new World();
  const all: number[] = [];
  for (let time = 0; time <= times; time++) all.push((await world.run("rbee", ["--help"])).durationMs);
  return all.slice(1); // the first unpacks what the executable holds into the page cache
}

/** Nothing runs before, and nothing after. */
async function coldMs(times: number): Promise<{ firstToken: number[]; ended: number[] }> {
  const all: { firstToken: number; endedMs: number }[] = [];
  for (let time = 0; time <= times; time++) {
    await using world = new World();
    all.push(await timed(world.start("rbee", infer)));
    await world.nothingLeft(30_000);
  }
  const counted = all.slice(1);
  return { firstToken: counted.map((one) => one.firstToken), ended: counted.map((one) => one.endedMs) };
}

/** A queen that stays, with a worker that has loaded. */
async function warm(times: number) {
  await using world = new World();
  await world.startQueen();
  await timed(world.start("rbee", infer));
  const all: { firstToken: number; endedMs: number }[] = [];
  for (let time = 0; time < times; time++) all.push(await timed(world.start("rbee", infer)));
  await pause(3_000);
  const memory = (["queen-rbee", "rbee-hive"] as const).map((program): [string, number] => {
    return [program, residentMebibytes(world.processes(program)[0].pid)];
  });
  return { firstToken: all.map((one) => one.firstToken), ended: all.map((one) => one.endedMs), memory };
}

/** When the first text came, and when the program had ended. Throws when it failed. */
async function timed(program: Program): Promise<{ firstToken: number; endedMs: number }> {
  const finished = await program.ends(30_000);
  const first = program.pieces.find((piece) => piece.stream === "stdout");
  if (finished.code !== 0 || !first) throw new Error(`Cannot measure: it failed\n${program.account()}`);
  return { firstToken: first.atMs, endedMs: finished.durationMs };
}

function residentMebibytes(pid: number): number {
  const kibibytes = Deno.readTextFileSync(`/proc/${pid}/status`).match(/^VmRSS:\s+(\d+) kB/m)?.[1];
  return Number(kibibytes) / 1_024;
}
