/**
 * What the way to another machine costs: the same generations asked, through one queen, of a worker on this machine and
 * of one on a host behind SSH. Both compute on the same cores, so what differs is the tunnel.
 *
 * @module
 */
import { onNodes } from "../support/nodes.ts";
import { say, sayTable } from "./figures.ts";
import { compare, headOf, type Setting } from "./relay_bench.ts";
import { type Ask, readTogether } from "./streams.ts";

const settings: readonly Setting[] = [
  { streams: 1, tokens: 200, pairs: 9 },
  { streams: 8, tokens: 200, pairs: 5 },
  { streams: 32, tokens: 100, pairs: 3 },
];

/** Measures and prints. */
export async function run(): Promise<void> {
  await onNodes(["alpha"], async (nodes) => {
    const { world } = nodes;
    world.configure({ workers: { slots: 32, ctx: 256 }, queen: { wait_s: 120 } });
    const { code, stderr } = await world.run("rbee", ["up"]);
    if (code !== 0) throw new Error(stderr);
    await nodes.add("alpha");
    const on = (node: string) => (body: object): Ask => ({
      url: `${world.queenUrl()}/v2/tasks`,
      token: world.token("queen"),
      body: { model: "builtin:tiny", node, slots: 32, ...body },
    });
    for (const node of ["local", "alpha"]) await readTogether([on(node)({ prompt: "warm up", max_tokens: 8 })]);
    say("\ntransport, builtin:tiny: a worker behind SSH against one on this machine; medians of paired runs");
    const rows: (string | number)[][] = [headOf("loopback", "ssh")];
    for (const setting of settings) rows.push(await compare(setting, { floor: on("local"), measured: on("alpha") }));
    sayTable(rows);
    await nodes.down();
  });
}
