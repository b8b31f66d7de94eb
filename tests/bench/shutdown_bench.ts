/**
 * How long until everything is gone: a queen with 20 streams on the hives of three nodes gets SIGTERM (running answers
 * may take 5 s more) or SIGKILL (her hives end when her lease is over).
 *
 * @module
 */
import assert from "node:assert/strict";
import { lastingModel } from "../support/flows.ts";
import { pause } from "../support/eventually.ts";
import { type Node, type NodeCluster, onNodes } from "../support/nodes.ts";
import { send } from "../support/processes.ts";
import { say, sayTable } from "./figures.ts";

const names = ["alpha", "beta", "gamma"];
const streams = 20;
const patienceMs = 60_000;

/** Measures and prints. */
export async function run(): Promise<void> {
  const rows: (string | number)[][] = [["20 streams on 3 nodes, then", "everything gone after s", "goal"]];
  for (const [signal, goal] of [["SIGTERM", "10"], ["SIGKILL", "20"]] as const) {
    await onNodes(names, async (nodes) => {
      rows.push([`${signal} at the queen`, await goneAfterS(nodes, signal), goal]);
    });
  }
  say("");
  sayTable(rows);
}

async function goneAfterS(nodes: NodeCluster, signal: "SIGTERM" | "SIGKILL"): Promise<number> {
  const { world } = nodes;
  world.configure({ queen: { drain_s: 5 } });
  const { code, stderr } = await world.run("rbee", ["up"]);
  assert.equal(code, 0, stderr);
  const all: Node[] = [];
  for (const name of names) all.push(await nodes.add(name));
  const cut = new AbortController();
  const model = await lastingModel();
  await Promise.all(Array.from({ length: streams }, (_none, at) => begin(all[at % all.length], model, cut.signal)));
  const before = performance.now();
  assert.ok(send(world.queenPid(), signal));
  const left = () => [...world.living(), ...all.flatMap((node) => node.living())];
  while (left().length > 0) {
    if (performance.now() - before > patienceMs) throw new Error(`Cannot measure: still there: ${left().join(", ")}`);
    await pause(20);
  }
  const seconds = (performance.now() - before) / 1_000;
  cut.abort();
  return seconds;
}

/** Resolves when a long answer's first token has come. */
async function begin(node: Node, model: string, signal: AbortSignal): Promise<void> {
  const { world } = node;
  const slots = Math.ceil(streams / names.length);
  const body = {
    ...{ model: node.modelThere(model), node: node.name, prompt: "a long story", max_tokens: 3_000, slots },
    ...{ ignore_eos: true, wait_s: 60 },
  };
  const response = await world.open({ who: "queen" }, "POST /v2/tasks", { body, signal });
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  for (let text = ""; !text.includes('"token"');) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`Cannot measure: a stream ended early: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  void drain(reader);
}

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    while (!(await reader.read()).done) { /* nothing in it matters */ }
  } catch {
    // cut with its queen
  }
}
