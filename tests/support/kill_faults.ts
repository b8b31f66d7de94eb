/**
 * SIGKILL at the queen or at a keeper who use another machine: what must hold then, and nobody there is told.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertBroken } from "./ends.ts";
import { eventually, patience, pause } from "./eventually.ts";
import { orphanMs } from "./faults.ts";
import type { FaultRun, FaultStage, PlayedFault } from "./node_fault_runs.ts";
import type { Node } from "./nodes.ts";
import { isAlive, send } from "./processes.ts";
import type { Program } from "./program.ts";

/** All of them. */
export const killFaults: readonly PlayedFault[] = [
  {
    name: "kill-keeper-mid-stream",
    what: "SIGKILL at the keeper mid-stream",
    promise: "what it had started is gone here and there, the next infer works",
    play: keeperMidStream,
  },
  {
    name: "kill-keeper-mid-stream-up",
    what: "SIGKILL at the keeper mid-stream, whose queen stays",
    promise: "the slot is free again, the next infer uses the same worker",
    play: keeperOfOneWhoStays,
  },
  {
    name: "kill-keeper-at-rest",
    what: "SIGKILL at a keeper at rest",
    promise: "the daemons here and there live on",
    play: keeperAtRest,
  },
  {
    name: "kill-queen-mid-stream",
    what: "SIGKILL at the queen mid-stream",
    promise: "one clear error with the text so far, nothing runs here or there, the next infer works",
    isSlow: true,
    play: queenMidStream,
  },
  {
    name: "kill-queen-at-rest",
    what: "SIGKILL at the queen at rest",
    promise: "nothing runs here or there, the next infer works",
    isSlow: true,
    play: queenAtRest,
  },
  {
    name: "kill-queen-and-up",
    what: "SIGKILL at the queen at rest, and a new one at once",
    promise: "she takes over the hive there and its worker",
    play: queenAndUp,
  },
];

async function keeperMidStream({ node, waitMs }: FaultStage): Promise<FaultRun> {
  const keeper = await node.inferMidStream();
  const { at, exits } = await killKeeper(keeper, waitMs);
  const goneMs = await nothingRuns(node, at);
  await node.nextInferWorks();
  return { goneMs, exits };
}

async function keeperOfOneWhoStays({ node, waitMs }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  const keeper = await node.inferMidStream();
  const worker = node.one("llm-worker-rbee").pid;
  const { at, exits } = await killKeeper(keeper, waitMs);
  await node.nextInferWorks();
  const goneMs = performance.now() - at;
  assert.equal(node.one("llm-worker-rbee").pid, worker);
  return { goneMs, exits };
}

async function keeperAtRest({ node, waitMs }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  await node.nextInferWorks();
  const keeper = node.world.start("rbee", ["logs", "--follow"]);
  await keeper.sees(/\S/, { withinMs: 5_000 });
  const daemons = [...node.world.processes("queen-rbee"), ...node.host.rbeeProcesses()].map(({ pid }) => pid);
  assert.equal(daemons.length, 3);
  const { at, exits } = await killKeeper(keeper, waitMs);
  const goneMs = performance.now() - at;
  await node.nextInferWorks();
  assert.deepEqual(daemons.filter((pid) => !isAlive(pid)), []);
  return { goneMs, exits };
}

async function queenMidStream({ node, waitMs }: FaultStage): Promise<FaultRun> {
  const keeper = await node.inferMidStream();
  const at = await killQueen(node, waitMs);
  const finished = await keeper.ends(10_000);
  assertBroken(finished, ["CONNECTION_LOST"]);
  const goneMs = await nothingRuns(node, at);
  await node.nextInferWorks();
  return { goneMs, exits: [finished] };
}

async function queenAtRest({ node, waitMs }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  await node.nextInferWorks();
  const at = await killQueen(node, waitMs);
  const goneMs = await nothingRuns(node, at);
  await node.nextInferWorks();
  return { goneMs, exits: [] };
}

async function queenAndUp({ node, waitMs }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  await node.nextInferWorks();
  const before = node.host.rbeeProcesses().map(({ pid }) => pid);
  const at = await killQueen(node, waitMs);
  await node.world.up();
  await node.nextInferWorks();
  const goneMs = performance.now() - at;
  assert.deepEqual(node.host.rbeeProcesses().map(({ pid }) => pid), before);
  return { goneMs, exits: [] };
}

async function killKeeper(keeper: Program, waitMs = 0) {
  await pause(waitMs);
  const at = performance.now();
  keeper.signal("SIGKILL");
  return { at, exits: [await keeper.ends(3_000)] };
}

async function killQueen({ world }: Node, waitMs = 0): Promise<number> {
  await pause(waitMs);
  assert.ok(send(world.queenPid(), "SIGKILL"));
  return performance.now();
}

/**
 * Nothing runs here and there. Files are another matter: a killed daemon cannot remove its own, the next one does.
 * Returns how long that took since `at`.
 */
async function nothingRuns(node: Node, at: number): Promise<number> {
  await eventually(() => node.world.living().length === 0, {
    withinMs: orphanMs / patience,
    what: `nothing runs here after ${orphanMs / 1_000} s`,
    everyMs: 200,
    seen: () => node.world.living().join(", "),
  });
  await node.nothingRuns();
  return performance.now() - at;
}
