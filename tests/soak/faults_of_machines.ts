/**
 * What strikes another machine, the way there, or those here who use it: in the middle of an answer, at rest, and
 * where the machine is not as it should be.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Bystander } from "../support/bystander.ts";
import { canRunCluster } from "../support/cluster.ts";
import { killFaults } from "../support/kill_faults.ts";
import { atRest, midStream, type PlayedFault } from "../support/node_fault_runs.ts";
import { nodeFaults } from "../support/node_faults.ts";
import { type Node, NodeCluster, nodeOrphanMs } from "../support/nodes.ts";
import { oddMachines } from "../support/odd_machines.ts";
import type { World } from "../support/world.ts";
import type { Fault, Stage, Struck } from "./fault.ts";

const waitMsMax = 800;

/** Returns these faults; none where no machines can be made (not root, no namespaces). */
export function machineFaults(): Fault[] {
  if (!canRunCluster()) return [];
  return [
    ...nodeFaults.flatMap((fault) => [midStream(fault), atRest(fault)]).map((fault) => asFault(fault, true)),
    ...[...killFaults, ...oddMachines].map((fault) => asFault(fault, false)),
  ];
}

/** Returns a fault of a machine as one that is played round by round; with a bystander, another machine answers all the time. */
export function asFault(fault: PlayedFault, hasBystander: boolean): Fault {
  return {
    name: `machine-${fault.name}`,
    what: `${fault.what}, on another machine`,
    persistent: true,
    play: (stage) => play(fault, hasBystander, stage),
  };
}

interface Setting {
  readonly nodes: NodeCluster;
  readonly node: Node;
  readonly other?: Node;
}

/** The machines of a world, for all its rounds. */
const settings = new WeakMap<World, Promise<Setting>>();

function settingOf(world: World, fault: PlayedFault, hasBystander: boolean): Promise<Setting> {
  const known = settings.get(world);
  if (known) return known;
  const making = makeSetting(world, fault, hasBystander);
  settings.set(world, making);
  return making;
}

async function makeSetting(world: World, { host }: PlayedFault, hasBystander: boolean): Promise<Setting> {
  const nodes = await NodeCluster.create(world, [{ ...host, name: "struck" }, ...(hasBystander ? ["bystander"] : [])]);
  return { nodes, node: await nodes.add("struck"), other: hasBystander ? await nodes.add("bystander") : undefined };
}

/** All of one round: the fault, the next inference there, and the end of all that is left, here and there. */
async function play(fault: PlayedFault, hasBystander: boolean, { world, chance }: Stage): Promise<Struck> {
  const { nodes, node, other } = await settingOf(world, fault, hasBystander);
  if (other) await world.up();
  const bystander = other && await Bystander.start(other);
  const { goneMs, exits } = await fault.play({ nodes, node, bystander, waitMs: chance.between(0, waitMsMax) });
  await bystander?.stop();
  await nodes.down();
  assert.ok(goneMs <= nodeOrphanMs, `told and gone after ${Math.round(goneMs / 100) / 10} s`);
  return { at: performance.now() - goneMs, exits, left: () => [], withinMs: nodeOrphanMs };
}
