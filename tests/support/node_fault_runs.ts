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
import { eventually, patience } from "./eventually.ts";
import { faultRuns } from "./faults.ts";
import type { NodeFault } from "./node_faults.ts";
import { type Node, nodeOrphanMs, onNodes } from "./nodes.ts";
import { isAlive } from "./processes.ts";
import type { Finished } from "./program.ts";

/** Whoever waits for an answer hears of a lost machine by then. */
const toldMs = 20_000;
/** How many tokens of an answer that outlasts a cable which is out for 5 s. */
const lastingTokens = 500;

/** What a run showed. */
export interface NodeFaultRun {
  /** `performance.now()` of the fault. */
  readonly at: number;
  readonly exits: readonly Finished[];
}

/**
 * The fault in the middle of an answer. It ends with one clear error and the text so far, or goes on where it can; what
 * must go there is gone after `nodeOrphanMs`; the next inference there works.
 */
export async function nodeFaultMidStream(fault: NodeFault, node: Node, bystander?: Bystander): Promise<NodeFaultRun> {
  const keeper = await node.inferMidStream({ tokens: fault.ends ? 3_500 : lastingTokens });
  const before = running(node);
  const at = performance.now();
  await fault.strike(node);
  await bystander?.goesOn();
  const finished = await keeper.ends(fault.ends ? toldMs : 60_000);
  if (fault.ends) assertBroken(finished, fault.ends);
  else assert.equal(finished.code, 0, finished.stderr);
  await leavesOnly(fault, { node, before, at });
  await fault.mend?.(node);
  await node.nextInferWorks();
  return { at, exits: [finished] };
}

/** The fault while a hive and an idle worker rest there. */
export async function nodeFaultAtRest(fault: NodeFault, node: Node, bystander?: Bystander): Promise<NodeFaultRun> {
  await node.nextInferWorks();
  const before = running(node);
  const at = performance.now();
  await fault.strike(node);
  await bystander?.goesOn();
  await leavesOnly(fault, { node, before, at });
  await fault.mend?.(node);
  await node.nextInferWorks();
  return { at, exits: [] };
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

/** What is played, and how a step is called. */
export interface NodeFaultTest {
  readonly promise: (fault: NodeFault) => string;
  readonly play: (fault: NodeFault, node: Node, bystander: Bystander) => Promise<NodeFaultRun>;
}

/** Registers one test: each of these faults on a machine of its own, all at the same time, each twice. */
export function testNodeFaults(
  name: string,
  faults: readonly NodeFault[],
  { promise, play }: NodeFaultTest,
): void {
  // The steps are played at the same time: none of them can say what is another's.
  const atOnce = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };
  Deno.test({
    name: `${name}${clusterMissing()}`,
    ignore: !canRunCluster(),
    ...atOnce,
    fn: (t) =>
      onNodes([...faults.map((fault) => fault.name), "bystander"], async (nodes) => {
        await nodes.world.up();
        const bystander = await Bystander.start(await nodes.add("bystander"));
        const passed = await Promise.all(faults.map((fault) =>
          t.step({
            name: `${fault.what}: ${promise(fault)}`,
            ...atOnce,
            async fn() {
              const node = await nodes.add(fault.name);
              for (let run = 1; run <= faultRuns; run++) await play(fault, node, bystander);
            },
          })
        ));
        assert.ok(passed.every((one) => one), "a fault showed what it must not");
        await bystander.stop();
        await nodes.down();
      }),
  });
}
