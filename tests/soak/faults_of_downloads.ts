/**
 * SIGKILL at a hive while it fetches a model.
 *
 * @module
 */
import { downloadKill, killWorld } from "../support/download_kill.ts";
import type { HubWorld } from "../support/hub_world.ts";
import type { World } from "../support/world.ts";
import { type Fault, livingIn, type Stage, type Struck } from "./fault.ts";

/** Returns this fault. */
export function downloadFaults(): Fault[] {
  return [{
    name: "kill-hive-downloading",
    what: "SIGKILL at the hive while it fetches a model: no wrong file, no wrong row, the next pull goes on from there",
    persistent: false,
    timesRounds: 5,
    play,
  }];
}

/** The hub of a world; its rounds go on with the same one. */
const hubs = new WeakMap<World, Promise<HubWorld>>();

async function play({ world, chance }: Stage): Promise<Struck> {
  const known = hubs.get(world);
  const made = known ?? killWorld(world);
  hubs.set(world, made);
  const at = await made;
  if (!known) world.atEnd(() => Promise.resolve(at.hub[Symbol.dispose]()));
  const { killedAt, keptBytes } = await downloadKill(at, chance);
  return {
    ...{ at: killedAt, exits: [], left: () => livingIn(world) },
    counts: { "kept MB": Math.round(keptBytes / 1_000_000) },
  };
}
