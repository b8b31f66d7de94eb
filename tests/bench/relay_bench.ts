/**
 * What the queen's relay costs: the same generations asked of the worker directly and through the queen, in pairs.
 *
 * @module
 */
import { slowModel } from "../support/flows.ts";
import { World } from "../support/world.ts";
import { median, percentile, say, sayTable } from "./figures.ts";
import { type Ask, readTogether, type Together } from "./streams.ts";

const slots = 64;

/** One comparison. */
export interface Setting {
  readonly streams: number;
  readonly tokens: number;
  readonly pairs: number;
}

/** Measures and prints. */
export async function run(): Promise<void> {
  await measure("slow model", await slowModel(), [
    { streams: 1, tokens: 64, pairs: 7 },
    { streams: 8, tokens: 32, pairs: 4 },
    { streams: 64, tokens: 12, pairs: 2 },
  ]);
  await measure("builtin:tiny", "builtin:tiny", [
    { streams: 1, tokens: 200, pairs: 9 },
    { streams: 8, tokens: 200, pairs: 5 },
    { streams: 64, tokens: 100, pairs: 3 },
  ]);
}

async function measure(name: string, model: string, settings: readonly Setting[]): Promise<void> {
  await using world = new World();
  world.configure({ workers: { slots, ctx: 256 }, queen: { wait_s: 120 } });
  await world.startQueen();
  const queen = (body: object): Ask => {
    return { url: `${world.queenUrl()}/v2/tasks`, token: world.token("queen"), body: { model, ...body } };
  };
  await readTogether([queen({ prompt: "warm up", max_tokens: 8 })]);
  const [record] = await world.workers();
  const worker = (body: object): Ask => {
    return { url: `${record.url}/v1/inference`, token: world.token(record.id), body: { ...body } };
  };
  say(`\nrelay, ${name}: through the queen against the worker asked directly; medians of paired runs`);
  const rows: (string | number)[][] = [headOf("worker", "queen")];
  for (const setting of settings) rows.push(await compare(setting, { floor: worker, measured: queen }));
  sayTable(rows);
}

/** Returns the head of the rows that `compare` gives. */
export function headOf(floor: string, measured: string): string[] {
  const head = ["streams", `${floor} tokens/s`, `${measured} tokens/s`, "ratio", "first token ms", `${measured}'s`];
  return [...head, "between tokens ms, median/99 %", `${measured}'s`];
}

/** Returns one row: the same generations asked of two, in pairs. */
export async function compare(
  setting: Setting,
  ask: { floor: (body: object) => Ask; measured: (body: object) => Ask },
): Promise<(string | number)[]> {
  const body = { prompt: "Once upon a time", raw: true, temperature: 0, ignore_eos: true, max_tokens: setting.tokens };
  const runs: { floor: Together[]; measured: Together[] } = { floor: [], measured: [] };
  for (let pair = 0; pair < setting.pairs; pair++) {
    // who goes first changes: what the machine does besides must not fall on one of them
    for (const who of pair % 2 === 0 ? ["floor", "measured"] as const : ["measured", "floor"] as const) {
      runs[who].push(await readTogether(Array.from({ length: setting.streams }, () => ask[who](body))));
    }
  }
  const speed = (who: Together[]) => median(who.map((r) => r.tokensPerSecond));
  const first = (who: Together[]) => median(who.flatMap((r) => r.firstTokenMs));
  const gaps = (who: Together[]) => {
    const all = who.flatMap((r) => r.gapsMs);
    return `${median(all).toFixed(2)}/${percentile(all, 0.99).toFixed(2)}`;
  };
  return [
    String(setting.streams),
    speed(runs.floor),
    speed(runs.measured),
    median(runs.measured.map((r, at) => r.tokensPerSecond / runs.floor[at].tokensPerSecond)),
    first(runs.floor),
    first(runs.measured),
    gaps(runs.floor),
    gaps(runs.measured),
  ];
}
