/**
 * A fault of a machine, played in the middle of an answer and at rest: what must hold then is the same for all of them
 * and stands here.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Bystander } from "./bystander.ts";
import { canRunCluster, clusterMissing } from "./cluster.ts";
import { assertBroken } from "./ends.ts";
import { eventually, patience, pause } from "./eventually.ts";
import { faultRuns } from "./faults.ts";
import type { NodeFault } from "./node_faults.ts";
import { type Node, type NodeCluster, type NodeHost, nodeOrphanMs, onNodes } from "./nodes.ts";
import { isAlive } from "./processes.ts";
import type { Finished } from "./program.ts";

/** Whoever waits for an answer hears of a lost machine by then. */
const toldMs = 20_000;
/** How many tokens of an answer that outlasts a cable which is out for 5 s. */
const lastingTokens = 500;

/** Where a fault is played, and what it may use. */
export interface FaultStage {
  readonly nodes: NodeCluster;
  /** The machine, registered with a queen of `node.world`. */
  readonly node: Node;
  /** An answer on another machine that must not be disturbed. */
  readonly bystander?: Bystander;
  /** How long to wait before the fault, when everything is prepared. */
  readonly waitMs?: number;
}

/** What a run showed. */
export interface FaultRun {
  /** Milliseconds from the fault until who waited was told and what must go was gone. */
  readonly goneMs: number;
  readonly exits: readonly Finished[];
}

/** A fault that can be played again and again on one machine. */
export interface PlayedFault {
  /** `kill-worker-mid-stream`. */
  readonly name: string;
  readonly what: string;
  readonly promise: string;
  /** Most of it is waiting: its runs are played at the same time, each on a machine of its own. */
  readonly isSlow?: boolean;
  /** What its machine must be like. */
  readonly host?: Omit<NodeHost, "name">;
  /** Prepares, strikes and judges. The next inference there has worked then; a queen may be left who stays. */
  readonly play: (stage: FaultStage) => Promise<FaultRun>;
}

/** Returns the fault in the middle of an answer. */
export function midStream(fault: NodeFault): PlayedFault {
  const ends = fault.ends ? "one clear error with the text so far" : "the answer goes on to its end";
  return {
    name: `${fault.name}-mid-stream`,
    what: `${fault.what} mid-stream`,
    promise: `${ends}, nothing that must go is left there, the next infer works`,
    isSlow: fault.isSlow,
    play: (stage) => playMidStream(fault, stage),
  };
}

/** Returns the fault while a hive and an idle worker rest there. */
export function atRest(fault: NodeFault): PlayedFault {
  return {
    name: `${fault.name}-at-rest`,
    what: `${fault.what} at rest`,
    promise: `${fault.leaves} is left there, the next infer works`,
    isSlow: fault.isSlow,
    play: (stage) => playAtRest(fault, stage),
  };
}

async function playMidStream(fault: NodeFault, { node, bystander, waitMs = 0 }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  const keeper = await node.inferMidStream({ tokens: fault.ends ? 3_500 : lastingTokens });
  const before = running(node);
  await pause(waitMs);
  const at = performance.now();
  await fault.strike(node);
  await bystander?.goesOn();
  const finished = await keeper.ends(fault.ends ? toldMs : 60_000);
  if (fault.ends) assertBroken(finished, fault.ends);
  else assert.equal(finished.code, 0, finished.stderr);
  await leavesOnly(fault, { node, before, at });
  const goneMs = performance.now() - at;
  await fault.mend?.(node);
  await node.nextInferWorks();
  return { goneMs, exits: [finished] };
}

async function playAtRest(fault: NodeFault, { node, bystander, waitMs = 0 }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  await node.nextInferWorks();
  const before = running(node);
  await pause(waitMs);
  const at = performance.now();
  await fault.strike(node);
  await bystander?.goesOn();
  await leavesOnly(fault, { node, before, at });
  const goneMs = performance.now() - at;
  await fault.mend?.(node);
  await node.nextInferWorks();
  return { goneMs, exits: [] };
}

interface Running {
  readonly hive: number;
  readonly worker: number;
}

const running = (node: Node): Running => ({
  hive: node.one("rbee-hive").pid,
  worker: node.one("llm-worker-rbee").pid,
});

/** By process ids: the queen may have started a new hive there already. */
async function leavesOnly(
  { leaves, what }: NodeFault,
  { node, before: { hive, worker }, at }: { node: Node; before: Running; at: number },
): Promise<void> {
  const mustGo: number[] = { everything: [], "the hive": [worker], nothing: [hive, worker] }[leaves];
  const mustStay = [hive, worker].filter((pid) => !mustGo.includes(pid));
  await eventually(() => !mustGo.some(isAlive), {
    withinMs: (nodeOrphanMs - (performance.now() - at)) / patience,
    what: `what must go on ${node.name} is gone ${nodeOrphanMs / 1_000} s after ${what}`,
    seen: () => node.living().join(", "),
  });
  assert.deepEqual(mustStay.filter((pid) => !isAlive(pid)), [], `${leaves} lives on after ${what}`);
}

/** Steps that are played at the same time: none of them can say what is another's. */
const atOnce = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

/** What a test of several faults is like. */
export interface FaultTest {
  readonly name: string;
  readonly faults: readonly PlayedFault[];
  /** Whether all machines are one queen's, and one of them answers all the time; otherwise each has a queen of its own. */
  readonly isShared: boolean;
}

/** Returns the machines of a fault. */
const machinesOf = ({ name, isSlow }: PlayedFault) =>
  isSlow ? Array.from({ length: faultRuns }, (_none, run) => `${name}-${run + 1}`) : [name];

/** Registers one test: each fault on a machine of its own, all at the same time, each twice; nothing is left then. */
export function testFaults({ name, faults, isShared }: FaultTest): void {
  const struck = faults.flatMap((fault) => machinesOf(fault).map((name) => ({ ...fault.host, name })));
  const hosts = [...struck, ...(isShared ? [{ name: "bystander" }] : [])];
  Deno.test({
    name: `${name}${clusterMissing()}`,
    ignore: !canRunCluster(),
    ...atOnce,
    fn: (t) =>
      onNodes(hosts, async (nodes) => {
        if (isShared) await nodes.world.up();
        const bystander = isShared ? await Bystander.start(await nodes.add("bystander")) : undefined;
        const passed = await Promise.all(faults.map((fault) =>
          t.step({
            name: `${fault.what}: ${fault.promise}`,
            ...atOnce,
            async fn() {
              const machines = machinesOf(fault);
              await Promise.all(machines.map(async (name) => {
                const world = isShared ? nodes.world : nodes.addWorld();
                const node = await nodes.add(name, world);
                for (let run = 1; run <= faultRuns / machines.length; run++) {
                  await fault.play({ nodes, node, bystander });
                  if (!isShared) await nodes.down(world);
                }
              }));
            },
          })
        ));
        assert.ok(passed.every((one) => one), "a fault showed what it must not");
        await bystander?.stop();
        if (isShared) await nodes.down();
      }),
  });
}
