/**
 * One round of one fault: the fault, the time until all is gone, and the proof that rbee works afterwards.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, pause } from "../support/eventually.ts";
import { nextInferWorks } from "../support/flows.ts";
import { isAlive } from "../support/processes.ts";
import type { World } from "../support/world.ts";
import { type Fault, orphanMs, type Stage, type Struck } from "./fault.ts";

/** What a good round gave. */
export interface RoundResult {
  /** Milliseconds from the fault until all was gone. */
  readonly goneMs: number;
  /** Exit codes and signals of the commands concerned. */
  readonly exits: readonly string[];
  /** What the fault counted, by name. */
  readonly counts?: Readonly<Record<string, number>>;
}

/** Plays one round. Throws what is not as promised. */
export async function playRound(fault: Fault, stage: Stage): Promise<RoundResult> {
  const { world } = stage;
  const struck = await fault.play(stage);
  const goneMs = await untilGone(world, struck);
  await struck.afterwards?.();
  await nextInferWorks(world);
  if (fault.persistent) await takeDown(world);
  await nothingLeft(world);
  return { goneMs, exits: struck.exits.map(({ code, signal }) => signal ?? String(code)), counts: struck.counts };
}

async function untilGone(world: World, struck: Struck): Promise<number> {
  const left = struck.left ?? (() => world.leftovers());
  const withinMs = struck.withinMs ?? orphanMs;
  for (;;) {
    const seen = await left();
    const ms = performance.now() - struck.at;
    if (seen.length === 0) return ms;
    assert.ok(ms <= withinMs, `left ${Math.round(ms / 100) / 10} s after the fault: ${seen.join(", ")}`);
    await pause(20);
  }
}

/** After the fault a queen may stay, or have been replaced by one that ended with its command: both are fine. */
async function takeDown(world: World): Promise<void> {
  const { code, stderr } = await world.run("rbee", ["down"]);
  assert.equal(code, 0, `rbee down: ${stderr}`);
}

async function nothingLeft(world: World): Promise<void> {
  await eventually(() => world.leftovers().length === 0, {
    withinMs: orphanMs / 3,
    what: "nothing is left after the next infer",
    seen: () => world.leftovers().join(", "),
  });
}

/** Returns a look at which of these processes still live, for `Struck.left`. */
export function livingOf(pids: readonly number[]): () => string[] {
  return () => pids.filter(isAlive).map((pid) => `process ${pid}`);
}
