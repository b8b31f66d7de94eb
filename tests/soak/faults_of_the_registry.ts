/**
 * SIGKILL at the queen while clients change her node registry.
 *
 * @module
 */
import { registryKill, registrySetUp } from "../support/registry_kill.ts";
import { canRunSshd } from "../support/sshd.ts";
import type { World } from "../support/world.ts";
import { type Fault, livingIn, type Stage, type Struck } from "./fault.ts";

/** Returns this fault; none where no sshd can be run, for a machine is only added after a login. */
export function registryFaults(): Fault[] {
  if (!canRunSshd()) return [];
  return [{
    name: "kill-queen-registry",
    what: "SIGKILL at the queen while four clients add, change and remove nodes: no acknowledged change is lost",
    persistent: false,
    timesRounds: 10,
    play,
  }];
}

/** What clients were told in a world so far; its rounds go on with the same registry. */
const setUps = new WeakMap<World, ReturnType<typeof registrySetUp>>();

async function play({ world, chance }: Stage): Promise<Struck> {
  const setUp = setUps.get(world) ?? registrySetUp(world);
  setUps.set(world, setUp);
  const { killedAt, acknowledged, open } = await registryKill(setUp, chance);
  return {
    ...{ at: killedAt, exits: [], left: () => livingIn(world) },
    counts: { "acknowledged changes": acknowledged, "left open": open },
  };
}
