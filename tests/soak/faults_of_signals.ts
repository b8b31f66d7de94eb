/**
 * SIGTERM and SIGKILL at each of the four programs: while they start, in the middle of an answer, and at rest.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { inferMidStream, oneWorkerIs, steadyModel } from "../support/flows.ts";
import { isAlive, send } from "../support/processes.ts";
import type { Finished, Program } from "../support/program.ts";
import type { Executable, World } from "../support/world.ts";
import { assertAnswerOrError, assertBroken, assertCanceled } from "../support/ends.ts";
import { aWhile, type Fault, ladderMs, orphanMs, type Stage, type Struck } from "./fault.ts";
import { livingOf } from "./round.ts";

interface Target {
  readonly program: Executable;
  readonly signal: "SIGTERM" | "SIGKILL";
}

/** A cold start takes about as long on a quick machine; what starts later is waited for. */
const startingMs = 700;
const streamingMs = 800;
const restingMs = 300;

/** Ends by itself soon enough, when everybody who is asked to end lets it finish. */
const answerTokens = 1_500;

/** Returns these faults: 4 programs, 2 signals, 4 moments. */
export function signalFaults(): Fault[] {
  const programs = { keeper: "rbee", queen: "queen-rbee", hive: "rbee-hive", worker: "llm-worker-rbee" } as const;
  const signals = { term: "SIGTERM", kill: "SIGKILL" } as const;
  return Object.entries(programs).flatMap(([name, program]) =>
    Object.entries(signals).flatMap(([verb, signal]) => faultsOf(`${verb}-${name}`, { program, signal }))
  );
}

function faultsOf(name: string, target: Target): Fault[] {
  const who = `${target.signal} at ${target.program === "rbee" ? "the keeper" : target.program}`;
  // These start many workers, and none of them is about speed; a worker that is asked to end lets answers end, so long.
  const config = { workers: { threads: 1 }, hive: { drain_s: 3 } };
  const one = (moment: string, what: string, persistent: boolean, play: Fault["play"]): Fault => {
    return { name: `${name}-${moment}`, what: `${who} ${what}`, persistent, config, play };
  };
  return [
    one("starting", "somewhere in a cold start", false, (stage) => starting(stage, target)),
    one("mid-stream", "in the middle of an ephemeral run's answer", false, (stage) => midStream(stage, target)),
    one(
      "mid-stream-up",
      "in the middle of an answer of a queen that stays",
      true,
      (stage) => midStreamUp(stage, target),
    ),
    one("at-rest", "while a queen that stays and an idle worker rest", true, (stage) => atRest(stage, target)),
  ];
}

async function starting({ world, chance }: Stage, target: Target): Promise<Struck> {
  const args = ["infer", "--model", await steadyModel(), "--prompt", "hello", "--ignore-eos", "--max-tokens", "60"];
  const keeper = world.start("rbee", args);
  await aWhile(chance, startingMs);
  const pid = await firstOf(world, target, keeper);
  const at = performance.now();
  if (pid !== undefined) send(pid, target.signal);
  const finished = await keeper.ends(20_000);
  if (target.program !== "rbee") assertAnswerOrError(finished);
  else if (finished.signal === null && finished.code !== 0) assertCanceled(finished);
  // From when it ended: until then it may have been trying again, as it should.
  return { at: target.program === "rbee" ? at : performance.now(), exits: [finished] };
}

/** Returns the program's process once there is one; undefined when the keeper has ended before. */
async function firstOf(world: World, { program }: Target, keeper: Program): Promise<number | undefined> {
  if (program === "rbee") return keeper.pid;
  let pid: number | undefined;
  await eventually(() => (pid = world.processes(program)[0]?.pid) !== undefined || !keeper.isRunning, {
    withinMs: 10_000,
    what: `there is a ${program}`,
    everyMs: 5,
  });
  return pid;
}

async function midStream({ world, chance }: Stage, target: Target): Promise<Struck> {
  const { keeper, at } = await strikeMidStream({ world, chance }, target);
  return { at, exits: [await endsWell(keeper, target)], withinMs: patienceWith(target) };
}

async function midStreamUp({ world, chance }: Stage, target: Target): Promise<Struck> {
  await up(world);
  const { keeper, at, pids } = await strikeMidStream({ world, chance }, target);
  const finished = await endsWell(keeper, target);
  const afterwards = () => viewIsRight(world, target);
  return { at, exits: [finished], left: livingOf(pids), withinMs: patienceWith(target), afterwards };
}

/** Who is asked to end lets the answer end first, so the whole ladder is allowed. */
function patienceWith({ signal }: Target): number {
  return signal === "SIGTERM" ? ladderMs : orphanMs;
}

async function strikeMidStream({ world, chance }: Stage, target: Target) {
  const keeper = await inferMidStream(world, { tokens: answerTokens });
  await aWhile(chance, streamingMs);
  const pid = target.program === "rbee" ? keeper.pid : onlyOne(world, target.program);
  const pids = [pid, ...dependents(world, target.program)];
  const at = performance.now();
  assert.ok(send(pid, target.signal), "it was there to be struck");
  return { keeper, at, pids };
}

async function endsWell(keeper: Program, { program, signal }: Target): Promise<Finished> {
  const finished = await keeper.ends(10_000);
  if (program === "rbee") {
    if (signal === "SIGKILL") assert.equal(finished.signal, "SIGKILL");
    else assertCanceled(finished);
  } else if (signal === "SIGKILL") assertBroken(finished);
  else assertAnswerOrError(finished);
  return finished;
}

async function atRest({ world, chance }: Stage, target: Target): Promise<Struck> {
  await up(world);
  const args = ["infer", "--model", await steadyModel(), "--prompt", "hello", "--max-tokens", "2"];
  const { code, stderr } = await world.run("rbee", args);
  assert.equal(code, 0, stderr);
  if (target.program === "rbee") return await waitingKeeper({ world, chance }, target);
  await oneWorkerIs(world, "idle", 3_000);
  await aWhile(chance, restingMs);
  const pid = onlyOne(world, target.program);
  const pids = [pid, ...dependents(world, target.program)];
  const at = performance.now();
  assert.ok(send(pid, target.signal), "it was there to be struck");
  return { at, exits: [], left: livingOf(pids), afterwards: () => viewIsRight(world, target) };
}

/** A keeper at rest is one that waits for something to happen: the daemons must not mind its end. */
async function waitingKeeper({ world, chance }: Stage, { signal }: Target): Promise<Struck> {
  const before = world.processes().map((p) => p.pid);
  const keeper = world.start("rbee", ["logs", "--follow"]);
  await keeper.sees(/\S/, { withinMs: 5_000 });
  await aWhile(chance, restingMs);
  const at = performance.now();
  keeper.signal(signal);
  const finished = await keeper.ends(3_000);
  assert.deepEqual(before.filter((pid) => !isAlive(pid)), [], "the daemons live on");
  return { at, exits: [finished], left: livingOf([keeper.pid]) };
}

/** Starts a queen that stays. */
export async function up(world: World): Promise<void> {
  const { code, stderr } = await world.run("rbee", ["up"]);
  assert.equal(code, 0, stderr);
}

function onlyOne(world: World, program: Executable): number {
  const found = world.processes(program);
  assert.equal(found.length, 1, `one ${program}: ${found.map((p) => p.args.join(" ")).join("; ")}`);
  return found[0].pid;
}

/** The processes that must not outlive a program. */
function dependents(world: World, program: Executable): number[] {
  const below: Partial<Record<Executable, Executable[]>> = {
    "queen-rbee": ["rbee-hive", "llm-worker-rbee"],
    "rbee-hive": ["llm-worker-rbee"],
  };
  return (below[program] ?? []).flatMap((name) => world.processes(name)).map((p) => p.pid);
}

async function viewIsRight(world: World, { program }: Target): Promise<void> {
  if (program === "queen-rbee") return; // nobody is left to ask
  if (program === "rbee") return void await oneWorkerIs(world, "idle", 1_000);
  const lists = async (who: "queen" | "hive", path: string) => {
    const { json } = await world.call({ who }, `GET ${path}`);
    return (json.workers as unknown as unknown[]).length;
  };
  if (program === "llm-worker-rbee") {
    await eventually(async () => (await lists("hive", "/v1/workers/list")) === 0, {
      withinMs: 1_000,
      what: "the hive lists no worker",
    });
  }
  await eventually(async () => (await lists("queen", "/v2/workers/list")) === 0, {
    withinMs: 2_000,
    what: "the queen lists no worker",
  });
}
