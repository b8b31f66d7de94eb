/**
 * SIGKILL at the queen or at a keeper who use another machine: what must hold then, and nobody there is told.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertBroken } from "./ends.ts";
import { eventually, patience } from "./eventually.ts";
import { orphanMs } from "./faults.ts";
import type { Node } from "./nodes.ts";
import { isAlive, send } from "./processes.ts";
import type { Finished } from "./program.ts";

/** What one showed. */
export interface KillRun {
  /** `performance.now()` of the fault. */
  readonly at: number;
  readonly exits: readonly Finished[];
}

/** One of them. */
export interface KillFault {
  /** `kill-queen-mid-stream`. */
  readonly name: string;
  /** "the queen mid-stream". */
  readonly what: string;
  readonly promise: string;
  /** Prepares, strikes and judges; the next inference on the node has worked then. */
  readonly play: (node: Node) => Promise<KillRun>;
}

/** All of them. */
export const killFaults: readonly KillFault[] = [
  {
    name: "kill-keeper-mid-stream",
    what: "the keeper mid-stream",
    promise: "what it had started is gone here and there, the next infer works",
    async play(node) {
      const keeper = await node.inferMidStream();
      const at = performance.now();
      keeper.signal("SIGKILL");
      const exits = [await keeper.ends(3_000)];
      await nothingRunsHere(node);
      await node.nothingRuns();
      await node.nextInferWorks();
      return { at, exits };
    },
  },
  {
    name: "kill-keeper-mid-stream-up",
    what: "the keeper mid-stream, whose queen stays",
    promise: "the slot is free again, the next infer uses the same worker",
    async play(node) {
      await node.world.up();
      const keeper = await node.inferMidStream();
      const worker = node.one("llm-worker-rbee").pid;
      const at = performance.now();
      keeper.signal("SIGKILL");
      const exits = [await keeper.ends(3_000)];
      await node.nextInferWorks();
      assert.equal(node.one("llm-worker-rbee").pid, worker);
      return { at, exits };
    },
  },
  {
    name: "kill-keeper-at-rest",
    what: "a keeper at rest",
    promise: "the daemons here and there live on",
    async play(node) {
      await node.world.up();
      await node.nextInferWorks();
      const keeper = node.world.start("rbee", ["logs", "--follow"]);
      await keeper.sees(/\S/, { withinMs: 5_000 });
      const daemons = [...node.world.processes("queen-rbee"), ...node.host.rbeeProcesses()].map(({ pid }) => pid);
      assert.equal(daemons.length, 3);
      const at = performance.now();
      keeper.signal("SIGKILL");
      const exits = [await keeper.ends(3_000)];
      await node.nextInferWorks();
      assert.deepEqual(daemons.filter((pid) => !isAlive(pid)), []);
      return { at, exits };
    },
  },
  {
    name: "kill-queen-mid-stream",
    what: "the queen mid-stream",
    promise: "one clear error with the text so far, nothing runs here or there, the next infer works",
    async play(node) {
      const keeper = await node.inferMidStream();
      const at = killQueen(node);
      const finished = await keeper.ends(10_000);
      assertBroken(finished, ["CONNECTION_LOST"]);
      await nothingRunsHere(node);
      await node.nothingRuns();
      await node.nextInferWorks();
      return { at, exits: [finished] };
    },
  },
  {
    name: "kill-queen-at-rest",
    what: "the queen at rest",
    promise: "nothing runs here or there, the next infer works",
    async play(node) {
      await node.world.up();
      await node.nextInferWorks();
      const at = killQueen(node);
      await nothingRunsHere(node);
      await node.nothingRuns();
      await node.nextInferWorks();
      return { at, exits: [] };
    },
  },
  {
    name: "kill-queen-and-up",
    what: "the queen at rest, and a new one at once",
    promise: "she takes over the hive there and its worker",
    async play(node) {
      await node.world.up();
      await node.nextInferWorks();
      const before = node.host.rbeeProcesses().map(({ pid }) => pid);
      const at = killQueen(node);
      await node.world.up();
      await node.nextInferWorks();
      assert.deepEqual(node.host.rbeeProcesses().map(({ pid }) => pid), before);
      return { at, exits: [] };
    },
  },
];

function killQueen({ world }: Node): number {
  assert.ok(send(world.queenPid(), "SIGKILL"));
  return performance.now();
}

/** Files are another matter: a killed daemon cannot remove its own, the next one does. */
async function nothingRunsHere({ world }: Node): Promise<void> {
  await eventually(() => world.living().length === 0, {
    withinMs: orphanMs / patience,
    what: `nothing runs here after ${orphanMs / 1_000} s`,
    seen: () => world.living().join(", "),
  });
}
