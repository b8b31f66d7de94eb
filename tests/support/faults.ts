/**
 * One program gets SIGTERM or SIGKILL, at rest and in the middle of an answer, each twice: what must hold then is the
 * same for all of them and stands here.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, patience } from "./eventually.ts";
import { assertOneClearError, inferMidStream, inWorld, nextInferWorks, steadyModel } from "./flows.ts";
import { isAlive, type ProcessEntry, send } from "./processes.ts";
import type { Program } from "./program.ts";
import { type Executable, World } from "./world.ts";

/** A fault: who gets which signal. */
export interface Fault {
  readonly program: Executable;
  readonly signal: "SIGTERM" | "SIGKILL";
}

/** The two runs of each fault; `deno task soak` does more. */
export const faultRuns = 2;

/** No orphan may be left after this time. */
export const orphanMs = 15_000;

/** Returns the one process of a program in this world. */
function processOfProgram(world: World, { program }: Fault): ProcessEntry {
  const found = world.processes(program);
  assert.equal(found.length, 1, `one ${program}: ${found.map((p) => p.args.join(" ")).join("; ")}`);
  return found[0];
}

/** A world whose workers skip the calibration: these tests start many, and none of them is about speed. */
function quickWorld(): World {
  const world = new World();
  world.configure({ workers: { threads: 1 }, hive: { drain_s: 3 } });
  return world;
}

/**
 * The fault in the middle of an ephemeral run's answer. The keeper ends with one clear error (or with the whole text,
 * when a program that was asked to end let the answer finish); nothing is left; the next inference works.
 */
export function midStream(fault: Fault): Promise<void> {
  return inWorld(async (world) => {
    for (let run = 1; run <= faultRuns; run++) {
      // Whoever is asked to end lets the answer finish: a shorter one then keeps the test short.
      const keeper = await inferMidStream(world, { tokens: fault.signal === "SIGTERM" ? 600 : 3_000 });
      const { pid } = processOfProgram(world, fault);
      assert.ok(send(pid, fault.signal));
      await endsWell(keeper, fault);
      // Files are another matter: a killed daemon cannot remove its own, the next one does.
      await eventually(() => world.living().length === 0, {
        withinMs: orphanMs / patience,
        what: `nothing runs ${orphanMs / 1_000} s after ${fault.signal} at ${fault.program} (run ${run})`,
        seen: () => world.living().join(", "),
      });
      await nextInferWorks(world);
      await world.nothingLeft(4_000);
    }
  }, quickWorld);
}

async function endsWell(keeper: Program, { program, signal }: Fault): Promise<void> {
  const finished = await keeper.ends(10_000);
  if (program === "rbee-keeper" || program === "rbee") {
    if (signal === "SIGTERM") assert.ok([130, 143, 1].includes(finished.code), finished.stderr);
    return;
  }
  if (signal === "SIGTERM" && finished.code === 0) return;
  assertOneClearError(finished);
  const path = finished.stderr.match(/(\/\S*rbee-partial-\S+\.txt)/)?.[1];
  assert.ok(path, `the partial text was saved: ${finished.stderr}`);
  assert.equal(Deno.readTextFileSync(path).trimEnd(), finished.stdout.trimEnd());
}

/**
 * The fault while a queen that stays and an idle worker are at rest. Nothing that hung on the program is left after
 * 15 s, the view that hive and queen give is right, and the next inference works.
 */
export function atRest(fault: Fault): Promise<void> {
  return inWorld(async (world) => {
    for (let run = 1; run <= faultRuns; run++) {
      await restWithWorker(world);
      const { pid } = processOfProgram(world, fault);
      const children = dependents(world, fault.program);
      assert.ok(send(pid, fault.signal));
      await eventually(() => [pid, ...children].every((p) => !isAlive(p)), {
        withinMs: orphanMs / patience,
        what: `${fault.program} and what hung on it are gone after ${fault.signal} (run ${run})`,
        seen: () => world.report(),
      });
      await viewIsRight(world, fault.program);
      await nextInferWorks(world);
    }
    await world.run("rbee", ["down"]);
    await world.nothingLeft(10_000);
  }, quickWorld);
}

/** A queen that stays and one worker that has answered. */
async function restWithWorker(world: World): Promise<void> {
  const up = await world.run("rbee", ["up"]);
  assert.equal(up.code, 0, up.stderr);
  const { code, stderr } = await world.run("rbee", [
    ...["infer", "--model", await steadyModel(), "--prompt", "hello", "--max-tokens", "2"],
  ]);
  assert.equal(code, 0, stderr);
  const idle = await world.workers();
  for (const worker of idle.filter((w) => !w.model_ref.startsWith("file:"))) {
    await world.call({ who: "hive" }, `POST /v1/workers/${worker.id}/shutdown`);
  }
  await eventually(async () => (await world.workers()).length === 1, { withinMs: 5_000, what: "one worker is left" });
}

/** The processes that must not outlive a program. */
function dependents(world: World, program: Executable): number[] {
  const below: Partial<Record<Executable, Executable[]>> = {
    "queen-rbee": ["rbee-hive", "llm-worker-rbee"],
    "rbee-hive": ["llm-worker-rbee"],
  };
  return (below[program] ?? []).flatMap((name) => world.processes(name)).map((p) => p.pid);
}

async function viewIsRight(world: World, program: Executable): Promise<void> {
  if (program === "queen-rbee") return; // nobody is left to ask
  if (program === "llm-worker-rbee") {
    await eventually(async () => (await world.workers()).length === 0, {
      withinMs: 1_000,
      what: "the hive lists none",
    });
  }
  await eventually(async () => {
    const { json } = await world.call({ who: "queen" }, "GET /v2/workers/list");
    return (json.workers as unknown as unknown[]).length === 0;
  }, { withinMs: 2_000, what: "the queen lists no worker" });
}
