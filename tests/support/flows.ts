/**
 * What most acceptance tests do: an inference that is caught in the middle, the look at its end, and the proof that
 * rbee works afterwards.
 *
 * @module
 */
import assert from "node:assert/strict";
import { errorCodes } from "../../protocol/error_codes.ts";
import { join } from "../../runtime/path.ts";
import { eventually } from "./eventually.ts";
import type { Finished, Program } from "./program.ts";
import { largeForm, slowGguf } from "./slow_gguf.ts";
import { temporaryFolder } from "./temporary.ts";
import type { World } from "./world.ts";

/** Returns the folder of the models that tests make; it is there. */
export function modelsFolder(): string {
  const path = join(temporaryFolder(), "rbee-test-models");
  Deno.mkdirSync(path, { recursive: true });
  return path;
}

/** Returns the reference of a model of about 20 ms a token. */
export async function slowModel(): Promise<string> {
  return `file:${await slowGguf({ folder: modelsFolder() })}`;
}

/** Returns the reference of a model of some milliseconds a token: slow enough to be caught, quick to load. */
export async function steadyModel(): Promise<string> {
  return `file:${await slowGguf({ folder: modelsFolder(), layers: 32, width: 256 })}`;
}

/** Returns the reference of a model of several milliseconds a token: it lasts, also when many answer at once. */
export async function lastingModel(): Promise<string> {
  return `file:${await slowGguf({ folder: modelsFolder(), layers: 32, width: 512 })}`;
}

/** Returns the reference of a model that takes a while to load. */
export async function largeModel(): Promise<string> {
  return `file:${await slowGguf({ folder: modelsFolder(), ...largeForm })}`;
}

/** Starts `rbee infer` on the steady model and returns it when its first tokens have come. */
export async function inferMidStream(
  world: World,
  options: { tokens?: number; args?: string[] } = {},
): Promise<Program> {
  const args = ["infer", "--model", await steadyModel(), "--prompt", "a long story", "--ignore-eos"];
  args.push("--max-tokens", String(options.tokens ?? 3_500), ...(options.args ?? []));
  const program = world.start("rbee", args);
  await program.sees(/\S[\s\S]{20,}/, { stream: "stdout", withinMs: 10_000 });
  return program;
}

/** Asserts that the next `infer` works, and returns it. */
export async function nextInferWorks(world: World): Promise<Finished> {
  const args = ["infer", "--prompt", "hello", "--max-tokens", "8", "--ignore-eos", "--temperature", "0"];
  const finished = await world.run("rbee", args);
  assert.equal(finished.code, 0, `the next infer: ${finished.stderr}`);
  assert.match(finished.stdout, /\S/, "the next infer writes text");
  return finished;
}

/** What a failure must look like. */
export interface ClearError {
  code?: string;
  exitCode?: number;
  /** What the message must say besides. */
  says?: RegExp;
}

/** Asserts that a command failed with one message: its code, what to do next, and no stack trace. Returns the code. */
export function assertOneClearError(finished: Finished, wanted: ClearError = {}): string {
  const { stderr } = finished;
  assert.equal(finished.code, wanted.exitCode ?? 1, `exit code with:\n${stderr}`);
  const headlines = [...stderr.matchAll(/Error: .*\(([A-Z_]+)\)/g)];
  assert.equal(headlines.length, 1, `one headline with a code in:\n${stderr}`);
  const code = headlines[0][1];
  assert.ok(Object.hasOwn(errorCodes, code), `${code} is of the table`);
  if (wanted.code !== undefined) assert.equal(code, wanted.code, stderr);
  if (wanted.says) assert.match(stderr, wanted.says);
  assert.doesNotMatch(stderr, /^\s+at .*[:(]\d+:\d+/m, "no stack trace");
  assert.doesNotMatch(stderr, /Uncaught|panicked/);
  assert.match(stderr, /Suggestion:|Please|Check/, `what to do next in:\n${stderr}`);
  return code;
}

/** Waits until the hive lists one worker in that state, and returns it. */
export async function oneWorkerIs(world: World, state: string, withinMs: number): Promise<{ id: string; pid: number }> {
  let seen = "";
  const worker = await eventually(async () => {
    const workers = await world.workers();
    seen = JSON.stringify(workers);
    return workers.length === 1 && workers[0].state === state ? workers[0] : undefined;
  }, { withinMs, what: `one worker is ${state}`, seen: () => seen });
  assert.ok(worker.pid !== null);
  return { id: worker.id, pid: worker.pid };
}

/** Runs a test in a world of its own; a failure tells what happened in it. */
export async function inWorld(test: (world: World) => Promise<void>, makeWorld: () => World): Promise<void> {
  await using world = makeWorld();
  try {
    await test(world);
  } catch (error) {
    if (error instanceof Error) error.message += `\n${world.report()}`; // the runner prints it, unlike the stack
    throw error;
  }
}
