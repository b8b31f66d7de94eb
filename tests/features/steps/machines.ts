/** Steps about daemons that an operator starts, and about machines that are described. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { eventually } from "../../support/eventually.ts";
import { must, suite } from "./scenario.ts";

const megabyte = 1024 * 1024;

suite.step("a hive that an operator started", async function () {
  this.hive = await this.world.startHive();
  this.noted.set("hivePid", this.world.hivePid());
});

suite.step("a queen that an operator started", async function () {
  this.queen = await this.world.startQueen();
  this.noted.set("queenPid", this.world.queenPid());
});

suite.step("a queen that stays", async function () {
  const { code, stderr } = await this.world.run("rbee", ["up"]);
  assert.equal(code, 0, stderr);
  this.noted.set("queenPid", this.world.queenPid());
});

suite.step("workers may idle for {float} second(s)", function (seconds: number) {
  this.world.configure({ hive: { idle_timeout_s: seconds } });
});

suite.step("health is checked every {float} second(s)", function (seconds: number) {
  this.world.configure({ hive: { health_interval_s: seconds } });
});

suite.step("loading may take {int} second(s)", function (seconds: number) {
  this.world.configure({ queen: { load_timeout_s: seconds }, hive: { load_timeout_s: seconds } });
});

suite.step(
  "a machine that is described with {int} {string} device(s) and {int} MB of free memory",
  function (count: number, backend: string, freeMb: number) {
    const gpus = Array.from({ length: count }, (_none, index) => ({
      backend,
      index,
      name: "A described device",
      memory_total_bytes: 24_000 * megabyte,
      memory_free_bytes: freeMb * megabyte,
    }));
    const file = join(this.world.root, "machine.json");
    Deno.writeTextFileSync(file, JSON.stringify({ memory_available_bytes: freeMb * megabyte, gpus }));
    this.world.configure({ hive: { probe: ["/bin/cat", file] } });
  },
);

suite.step("a model file of {int} MB", function (size: number) {
  const path = join(this.world.root, "huge.gguf");
  // A whole GGUF header, then a hole: what counts is the size on disk, and no test machine has 5 GB to spare.
  Deno.copyFileSync(new URL("../../../native/tiny/tiny.gguf", import.meta.url), path);
  Deno.truncateSync(path, size * megabyte);
  this.noted.set("huge", path);
});

suite.step("the hive's detection lists {int} {string} device(s)", async function (count: number, backend: string) {
  const { code, stdout, stderr } = await this.world.run("rbee-hive", ["detect", "--json"]);
  assert.equal(code, 0, stderr);
  const found = JSON.parse(stdout).backends.find((one: { name: string }) => one.name === backend);
  assert.equal(found?.devices ?? 0, count, stdout);
});

suite.step("the hive is asked {string}", async function (request: string) {
  this.answer = await this.world.call({ who: "hive" }, request);
});

suite.step("the answer is exactly {string}", function (body: string) {
  const answer = must(this.answer, "an answer");
  assert.equal(answer.status, 200);
  assert.deepEqual(JSON.parse(answer.text), JSON.parse(body));
});

suite.step("the operator ends the hive and starts it again", async function () {
  const hive = must(this.hive, "a hive");
  hive.signal("SIGTERM");
  const { code } = await hive.ends(10_000);
  assert.equal(code, 0);
  await eventually(() => this.world.leftovers().length === 0, {
    withinMs: 1_000,
    what: "nothing is left of the first hive",
    seen: () => this.world.leftovers().join(", "),
  });
  this.hive = await this.world.startHive();
});

suite.step("the hive gets SIGTERM", function () {
  assert.ok(must(this.hive, "a hive").signal("SIGTERM"));
});

suite.step("it ends with exit code {int} within {int} seconds", async function (code: number, seconds: number) {
  const finished = await must(this.hive, "a hive").ends(seconds * 1_000);
  assert.equal(finished.code, code, finished.stderr);
});

suite.step("the hive runs on and answers", async function () {
  const answer = await this.world.call({ who: "hive" }, "GET /v1/health");
  assert.equal(answer.status, 200);
  assert.equal(answer.json.status, "alive");
  assert.ok(must(this.hive, "a hive").isRunning);
});
