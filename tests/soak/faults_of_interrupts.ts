/**
 * Ctrl+C at the four moments of an inference.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { inferMidStream, largeModel, oneWorkerIs, slowModel, steadyModel } from "../support/flows.ts";
import type { Program } from "../support/program.ts";
import type { World } from "../support/world.ts";
import { assertCanceled } from "../support/ends.ts";
import { aWhile, type Fault, type Stage, type Struck } from "./fault.ts";
import { up } from "./faults_of_signals.ts";

interface Moment {
  readonly what: string;
  /** How long the moment lasts at least: the strike falls into this time. */
  readonly lastsMs: number;
  /** Starts an inference and returns it when its moment has come. */
  readonly begin: (world: World) => Promise<Program>;
}

/** A prompt that takes the slow model some seconds before the first token. */
const longPrompt = Array.from({ length: 420 }, (_none, at) => `word${at}`).join(" ");

const moments: Readonly<Record<string, Moment>> = {
  queued: { what: "while it waits for a slot", lastsMs: 2_000, begin: queued },
  loading: { what: "while its model is loaded", lastsMs: 100, begin: loading },
  "before-token": { what: "before the first token", lastsMs: 200, begin: beforeToken },
  "mid-stream": { what: "in the middle of the answer", lastsMs: 800, begin: (world) => inferMidStream(world) },
};

/** Returns these faults: four moments, each in an ephemeral run and with a queen that stays. */
export function interruptFaults(): Fault[] {
  return Object.entries(moments).flatMap(([name, moment]) =>
    [false, true].map((persistent): Fault => ({
      name: `ctrl-c-${name}${persistent ? "-up" : ""}`,
      what: `Ctrl+C ${moment.what}${persistent ? ", with a queen that stays" : ""}`,
      persistent,
      play: (stage) => interrupt(stage, moment, persistent),
    }))
  );
}

async function interrupt({ world, chance }: Stage, moment: Moment, persistent: boolean): Promise<Struck> {
  if (persistent) await up(world);
  const program = await moment.begin(world);
  const others = world.programs.filter((p) => p !== program && p.isRunning);
  await aWhile(chance, moment.lastsMs);
  let at = performance.now();
  assert.ok(program.interrupt(), "it was there to be interrupted");
  const exits = [await program.ends(5_000)];
  for (const other of others) {
    assert.ok(other.isRunning, "the other inference goes on");
    at = performance.now();
    other.interrupt();
    exits.push(await other.ends(5_000));
  }
  exits.forEach(assertCanceled);
  return {
    at,
    exits,
    left: persistent ? () => takenSlots(world) : undefined,
    withinMs: persistent ? 3_000 : undefined,
  };
}

/** The slots that are still taken: with a queen that stays they are what must be given back, within 1 s. */
async function takenSlots(world: World): Promise<string[]> {
  const busy = (await world.workers()).filter((worker) => worker.state === "busy");
  return busy.map((worker) => `slot of ${worker.id}`);
}

async function queued(world: World): Promise<Program> {
  await inferMidStream(world);
  const args = ["infer", "--model", await steadyModel(), "--prompt", "me too", "--wait", "60s"];
  const second = world.start("rbee", args);
  await second.sees(/busy/i, { withinMs: 5_000 });
  return second;
}

async function loading(world: World): Promise<Program> {
  const program = world.start("rbee", ["infer", "--model", await largeModel(), "--prompt", "hello"]);
  await oneWorkerIs(world, "loading", 10_000);
  return program;
}

async function beforeToken(world: World): Promise<Program> {
  const program = world.start("rbee", ["infer", "--model", await slowModel(), "--prompt", longPrompt]);
  await eventually(async () => (await world.workers()).some((worker) => worker.state === "busy"), {
    withinMs: 10_000,
    what: "the worker reads the prompt",
    everyMs: 10,
  });
  return program;
}
