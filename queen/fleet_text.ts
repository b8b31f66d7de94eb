/**
 * What a person is told of what a task waits for. Pure.
 *
 * @module
 */
import type { Narration } from "../protocol/narration.ts";
import type { Fetches } from "./fetches.ts";
import type { WaitsFor } from "./scheduled_task.ts";
import type { Spawns } from "./spawns.ts";
import type { Workers } from "./workers.ts";

const modelCharsMax = 48;

/** The end of a reference says more than its beginning. */
const clipped = (model: string) => model.length <= modelCharsMax ? model : `…${model.slice(1 - modelCharsMax)}`;

/** Returns the line that tells what such a wait is about; undefined when there is nothing to tell. */
export function describeWait(
  { kind, id }: WaitsFor,
  { workers, spawns, fetches }: { workers: Workers; spawns: Spawns; fetches: Fetches },
): Omit<Narration, "correlation_id"> | undefined {
  const say = (action: string, target: string, human: string) => ({ actor: "queen-rbee", action, target, human });
  if (kind === "hive") return say("hive-start", id, `🐝 Starting the hive on ${id}`);
  if (kind === "lookup") return say("model-lookup", id, `🔎 Looking up ${clipped(id)}`);
  if (kind === "worker") {
    const worker = workers.get(id);
    return worker && say("model-load", worker.id, `🧠 ${worker.id} on ${worker.node} is loading the model`);
  }
  if (kind === "fetch") {
    const fetch = fetches.get(id);
    const from = fetch?.from === undefined ? "" : ` from ${fetch.from}`;
    return fetch && say("model-fetch", fetch.node, `📦 Fetching ${clipped(fetch.model)} to ${fetch.node}${from}`);
  }
  const spawn = kind === "spawn" ? spawns.get(id) : undefined;
  if (!spawn) return undefined;
  if (spawn.evicts.size === 0) return say("worker-spawn", spawn.node, `🚀 Starting a worker on ${spawn.node}`);
  const [first] = spawn.evicts;
  const who = spawn.evicts.size === 1 ? `${first} is idle and ends` : `${spawn.evicts.size} idle workers end`;
  return say("worker-evict", spawn.node, `🧹 Making room on ${spawn.node}: ${who}`);
}
