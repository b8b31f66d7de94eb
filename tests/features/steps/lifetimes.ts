/** Steps about who lives how long. */
import assert from "node:assert/strict";
import { eventually } from "../../support/eventually.ts";
import { isAlive, processOf, send } from "../../support/processes.ts";
import { must, type Scenario, suite } from "./scenario.ts";

suite.step("nobody asks for anything", function () {
  this.noted.set("waitingSince", performance.now());
});

suite.step(
  "the worker ends by itself between {int} and {int} seconds after its last answer",
  async function (least: number, most: number) {
    const { pid } = must(this.worker, "a worker");
    const lastAnswerAt = Number(this.noted.get("lastAnswerAt"));
    await eventually(() => !isAlive(pid), { withinMs: most * 1_000, what: "the idle worker has ended", everyMs: 20 });
    const idledMs = performance.now() - lastAnswerAt;
    // The answer was noted a little after it was given, hence the tolerance below; above, a deadline is waited for.
    assert.ok(idledMs > least * 1_000 - 300, `it ended after ${Math.round(idledMs)} ms`);
  },
);

async function strikes(scenario: Scenario): Promise<{ state: string; failed: number } | undefined> {
  const { id } = must(scenario.worker, "a worker");
  const record = (await scenario.world.workers()).find((w) => w.id === id);
  return record && { state: record.state, failed: record.failed_health_checks };
}

suite.step("it asks the worker for its health again and again", async function () {
  // A frozen worker answers nothing, so a strike shows that it was asked; thawed, the next answer clears it.
  const { pid } = must(this.worker, "a worker");
  assert.ok(send(pid, "SIGSTOP"));
  await eventually(async () => (await strikes(this))?.failed, { withinMs: 6_000, what: "a check has failed" });
  assert.ok(send(pid, "SIGCONT"));
  await eventually(async () => (await strikes(this))?.failed === 0, { withinMs: 2_000, what: "a check went well" });
});

suite.step("it starts another worker for {string} when asked", async function (model: string) {
  const body = { model_ref: await this.model(model), backend: "cpu", device: 0 };
  const { status, text } = await this.world.call({ who: "hive" }, "POST /v1/workers/spawn", { body });
  assert.equal(status, 200, text);
  assert.equal((await this.world.workers()).length, 2);
});

suite.step("it ends both when they have idled, and runs on", async function () {
  await eventually(() => this.world.processes("llm-worker-rbee").length === 0, {
    withinMs: 6_000,
    what: "both workers have ended",
  });
  await eventually(async () => (await this.world.workers()).length === 0, {
    withinMs: 1_000,
    what: "the hive lists none of them",
  });
  assert.ok(must(this.hive, "a hive").isRunning);
});

suite.step("the worker is killed", function () {
  assert.ok(send(must(this.worker, "a worker").pid, "SIGKILL"));
});

suite.step("the worker is frozen", function () {
  assert.ok(send(must(this.worker, "a worker").pid, "SIGSTOP"));
});

suite.step("the worker is thawed before the third strike", function () {
  assert.ok(send(must(this.worker, "a worker").pid, "SIGCONT"));
});

suite.step("the hive marks it {string}", async function (state: string) {
  await eventually(async () => (await strikes(this))?.state === state, {
    withinMs: 6_000,
    what: `the worker is ${state}`,
  });
  assert.ok(must(await strikes(this), "it is still listed").failed >= 1);
});

suite.step("the hive marks it {string} with {int} failed checks", async function (state: string, failed: number) {
  await eventually(async () => (await strikes(this))?.state === state, { withinMs: 3_000, what: `it is ${state}` });
  assert.equal((await strikes(this))?.failed, failed);
});

suite.step("after {int} failed checks it is gone from the list, and its process too", async function (most: number) {
  const { pid } = must(this.worker, "a worker");
  let worst = 0;
  await eventually(async () => {
    const seen = await strikes(this);
    worst = Math.max(worst, seen?.failed ?? 0);
    return seen === undefined;
  }, { withinMs: 18_000, what: "the worker is gone from the list", everyMs: 20 });
  assert.ok(worst < most + 1 && worst >= most - 1, `${worst} failed checks were seen`);
  await eventually(() => !isAlive(pid), { withinMs: 12_000, what: "its process has ended" });
});

suite.step("the same hive, queen and worker run on", function () {
  const { world } = this;
  assert.deepEqual([world.hivePid(), world.queenPid()], [this.noted.get("hivePid"), this.noted.get("queenPid")]);
  assert.ok(isAlive(world.hivePid()) && isAlive(world.queenPid()));
  assert.deepEqual(world.processes("llm-worker-rbee").map((p) => p.pid), [must(this.worker, "a worker").pid]);
});

suite.step("the same hive and queen run on, and no other", function () {
  const { world } = this;
  assert.deepEqual(world.processes("rbee-hive").map((p) => p.pid), [this.noted.get("hivePid")]);
  assert.deepEqual(world.processes("queen-rbee").map((p) => p.pid), [this.noted.get("queenPid")]);
});

suite.step("the queen is a child of the keeper, the hive of the queen, the worker of the hive", function () {
  const one = (program: "queen-rbee" | "rbee-hive" | "llm-worker-rbee") => {
    const found = this.world.processes(program);
    assert.equal(found.length, 1, program);
    return found[0];
  };
  const [queen, hive, worker] = [one("queen-rbee"), one("rbee-hive"), one("llm-worker-rbee")];
  assert.equal(queen.ppid, must(this.command, "a command").pid);
  assert.equal(hive.ppid, queen.pid);
  assert.equal(worker.ppid, hive.pid);
  assert.notEqual(queen.pgid, processOf(must(this.command, "a command").pid)?.pgid, "Ctrl+C reaches the keeper alone");
});
