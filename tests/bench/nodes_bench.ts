/**
 * How long a person waits for lists over three nodes, one of them dead: its cable is pulled, and nobody has noticed yet
 * or everybody has.
 *
 * @module
 */
import { eventually } from "../support/eventually.ts";
import { onNodes } from "../support/nodes.ts";
import type { World } from "../support/world.ts";
import { median, percentile, say, sayTable } from "./figures.ts";

const times = 9;

/** Measures and prints. */
export async function run(): Promise<void> {
  await onNodes(["alpha", "beta", "gamma"], async (nodes) => {
    const { world } = nodes;
    const { code, stderr } = await world.run("rbee", ["up"]);
    if (code !== 0) throw new Error(stderr);
    for (const name of ["alpha", "beta", "gamma"]) await (await nodes.add(name)).infer();
    const rows: (string | number)[][] = [["rbee workers list over 3 nodes, ms", "median", "slowest", "goal"]];
    const measure = async (what: string, args: readonly string[]) => {
      const all: number[] = [];
      for (let time = 0; time < times; time++) all.push((await world.run("rbee", args)).durationMs);
      rows.push([what, median(all), percentile(all, 1), "1500"]);
    };
    await measure("all of them answer", ["workers", "list"]);
    await nodes.cluster.host("beta").pullCable();
    await measure("one has just fallen silent", ["workers", "list"]);
    await eventually(async () => (await lists(world)).includes("unreachable"), {
      withinMs: 20_000,
      what: "the silent node is a line of its own",
    });
    await measure("one is known to be dead", ["workers", "list"]);
    await measure("the same, rbee status", ["status"]);
    say("");
    sayTable(rows);
    await nodes.cluster.host("beta").plugCable();
    await world.down();
  });
}

async function lists(world: World): Promise<string> {
  return (await world.run("rbee", ["workers", "list"])).stdout;
}
