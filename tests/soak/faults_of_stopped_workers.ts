/**
 * A worker that is stopped by SIGSTOP: it holds its port and its connections, and answers nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import { inferMidStream, oneWorkerIs, steadyModel } from "../support/flows.ts";
import { send } from "../support/processes.ts";
import { assertBroken, assertCanceled } from "../support/ends.ts";
import { aWhile, type Fault, ladderMs, type Stage, type Struck } from "./fault.ts";
import { up } from "./faults_of_signals.ts";
import { livingOf } from "./round.ts";

/** Health is asked every second, so that three strikes of 5 s each are over after about 16 s. */
const config = { workers: { threads: 1 }, hive: { health_interval_s: 1, drain_s: 3 } };
const strikesMs = 20_000;

/** Returns these faults. */
export function stoppedWorkerFaults(): Fault[] {
  return [
    {
      name: "stop-worker-mid-stream",
      what: "SIGSTOP at the worker in the middle of an answer, until its health checks end it",
      persistent: false,
      config,
      play: midStream,
    },
    {
      name: "stop-worker-ctrl-c",
      what: "SIGSTOP at the worker in the middle of an answer, then Ctrl+C",
      persistent: false,
      config,
      play: thenInterrupt,
    },
    {
      name: "stop-worker-at-rest",
      what: "SIGSTOP at an idle worker, until its health checks end it",
      persistent: true,
      config,
      play: atRest,
    },
  ];
}

async function stopMidStream({ world, chance }: Stage) {
  const keeper = await inferMidStream(world);
  const { pid } = await oneWorkerIs(world, "busy", 2_000);
  await aWhile(chance, 500);
  assert.ok(send(pid, "SIGSTOP"));
  return { keeper, pid };
}

async function midStream(stage: Stage): Promise<Struck> {
  const { keeper } = await stopMidStream(stage);
  const finished = await keeper.ends(strikesMs);
  const at = performance.now();
  assertBroken(finished);
  return { at, exits: [finished] };
}

async function thenInterrupt(stage: Stage): Promise<Struck> {
  const { keeper } = await stopMidStream(stage);
  await aWhile(stage.chance, 3_000);
  const at = performance.now();
  keeper.interrupt();
  const finished = await keeper.ends(ladderMs);
  assertCanceled(finished);
  return { at, exits: [finished], withinMs: ladderMs };
}

async function atRest({ world, chance }: Stage): Promise<Struck> {
  await up(world);
  const { code, stderr } = await world.run("rbee", [
    ...["infer", "--model", await steadyModel(), "--prompt", "hello", "--max-tokens", "2"],
  ]);
  assert.equal(code, 0, stderr);
  const { pid } = await oneWorkerIs(world, "idle", 2_000);
  await aWhile(chance, 500);
  const at = performance.now();
  assert.ok(send(pid, "SIGSTOP"));
  return { at, exits: [], left: livingOf([pid]), withinMs: ladderMs };
}
