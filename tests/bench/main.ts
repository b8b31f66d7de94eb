/**
 * `deno task bench [name…]`: measures, prints, asserts nothing.
 *
 * @module
 */
import { sayMachine } from "./figures.ts";

/** What can be measured, and which question it answers. */
const benches: Readonly<Record<string, string>> = Object.freeze({
  start: "how long until help, until the first token cold and warm, and how much idle daemons hold",
  install: "how long until another machine has rbee and answers, and how long to find that it has it already",
  gguf: "how long the header of a model of 100 MB takes to be read and checked",
  relay: "tokens per second and delay per token through the queen, against the worker asked directly",
  worker: "tokens per second of the worker over HTTP, against the engine called in process",
  transport:
    "tokens per second and delay per token through the SSH connection to a node, against this machine's worker",
  download: "how fast a hive fetches a model, digest checked, against curl to the same disk",
  placement: "how long a decision takes in large pools, and tokens per second of fast and slow machines together",
  nodes: "how long a list over three nodes takes, one of them dead",
  shutdown: "how long until everything is gone on three nodes with 20 streams, after SIGTERM and SIGKILL at the queen",
});

const wanted = Deno.args;
const unknown = wanted.filter((name) => !Object.hasOwn(benches, name));
if (wanted.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`Cannot measure ${unknown.join(", ")}: unknown`);
  console.error("Usage: deno task bench <name> [<name>…]\n");
  for (const [name, what] of Object.entries(benches)) console.error(`  ${name.padEnd(11)}${what}`);
  Deno.exit(2);
}
sayMachine();
for (const name of wanted) {
  const { run } = await import(`./${name}_bench.ts`) as { run: () => Promise<void> };
  await run();
}
