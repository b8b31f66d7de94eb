import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { inferMidStream, inWorld, largeModel, nextInferWorks, oneWorkerIs, slowModel } from "../support/flows.ts";
import type { Program } from "../support/program.ts";
import { hasTerminal } from "../support/terminal.ts";
import { World } from "../support/world.ts";

/** Presses Ctrl+C and asserts the promised end of the keeper. */
async function interrupted(program: Program): Promise<void> {
  assert.ok(program.interrupt());
  const { code, stderr } = await program.ends(5_000);
  assert.equal(code, 130, stderr);
  assert.match(stderr, /(^|\n)(\[rbee-keeper\] )?.*Canceled\.\n/);
  assert.doesNotMatch(stderr, /Error:/);
}

/** A prompt that takes the slow model some seconds before the first token. */
const longPrompt = Array.from({ length: 420 }, (_none, at) => `word${at}`).join(" ");

/** Each moment: starts an inference in this world and returns it when it is there. */
const moments: Record<string, (world: World) => Promise<Program>> = {
  async queued(world) {
    await inferMidStream(world);
    const second = world.start("rbee", [
      "infer",
      "--model",
      await steady(world),
      "--prompt",
      "me too",
      "--wait",
      "60s",
    ]);
    await second.sees(/busy/i, { withinMs: 5_000 });
    return second;
  },
  async loading(world) {
    const program = world.start("rbee", ["infer", "--model", await largeModel(), "--prompt", "hello"]);
    await oneWorkerIs(world, "loading", 10_000);
    return program;
  },
  async "before the first token"(world) {
    const program = world.start("rbee", ["infer", "--model", await slowModel(), "--prompt", longPrompt]);
    await oneWorkerIs(world, "busy", 10_000);
    assert.equal(program.stdout, "", "no token has come yet");
    return program;
  },
  "mid-stream": (world) => inferMidStream(world),
};

/** The model that the running worker holds. */
async function steady(world: World): Promise<string> {
  return (await world.workers())[0].model_ref;
}

for (const [moment, start] of Object.entries(moments)) {
  Deno.test(`Ctrl+C ${moment}: exit 130, and after an ephemeral run nothing of ours is left`, () =>
    inWorld(async (world) => {
      const program = await start(world);
      const others = world.programs.filter((p) => p !== program);
      await interrupted(program);
      for (const other of others) {
        assert.ok(other.isRunning, "the other inference goes on");
        await interrupted(other);
      }
      await world.nothingLeft(4_000);
    }, () => new World()));

  Deno.test(`Ctrl+C ${moment}: with a queen that stays, the slot is free within 1 s and the next infer works`, () =>
    inWorld(async (world) => {
      assert.equal((await world.run("rbee", ["up"])).code, 0);
      const program = await start(world);
      const others = world.programs.filter((p) => p !== program && p.isRunning);
      await interrupted(program);
      for (const other of others) await interrupted(other);
      await eventually(async () => (await world.workers()).every((w) => w.state !== "busy"), {
        withinMs: 1_000,
        what: "no slot is taken",
      });
      await nextInferWorks(world);
      assert.equal(world.processes("queen-rbee").length, 1, "the queen stays");
    }, () => new World()));
}

Deno.test({
  name: "Ctrl+C typed at a real terminal ends an ephemeral run with 130 and leaves nothing",
  ignore: !hasTerminal(),
  fn: () =>
    inWorld(async (world) => {
      const args = ["infer", "--model", await slowModel(), "--prompt", "hello", "--ignore-eos"];
      const program = world.start("rbee", args, { terminal: true });
      await oneWorkerIs(world, "busy", 10_000);
      await program.write("\x03");
      const { code, stdout } = await program.ends(5_000);
      assert.equal(code, 130, stdout);
      assert.match(stdout, /Canceled\./);
      await world.nothingLeft(4_000);
    }, () => new World()),
});

Deno.test("a terminal that is closed (SIGHUP) is a Ctrl+C, and a second Ctrl+C ends at once", () =>
  inWorld(async (world) => {
    const program = await inferMidStream(world);
    program.signal("SIGHUP");
    assert.equal((await program.ends(5_000)).code, 130);
    await world.nothingLeft(4_000);
    const again = await inferMidStream(world);
    const [queen] = world.processes("queen-rbee");
    // Whoever should acknowledge the cancel is frozen, so the first Ctrl+C cannot come to its end.
    Deno.kill(queen.pid, "SIGSTOP");
    again.interrupt();
    await new Promise((resolve) => setTimeout(resolve, 400));
    const pressedAt = performance.now();
    again.interrupt();
    assert.equal((await again.ends(1_000)).code, 130);
    assert.ok(performance.now() - pressedAt < 1_500);
    Deno.kill(queen.pid, "SIGCONT");
    await world.nothingLeft(5_000);
  }, () => new World()));
