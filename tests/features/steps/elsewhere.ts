/** Steps about who lives how long on another machine. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { eventually } from "../../support/eventually.ts";
import { lastingModel, steadyModel } from "../../support/flows.ts";
import { type Node, NodeCluster } from "../../support/nodes.ts";
import { scanPorts } from "../../support/port_scan.ts";
import { isAlive, send } from "../../support/processes.ts";
import { must, type Scenario, suite } from "./scenario.ts";

/** Makes the scenario's other machine. */
async function makeMachine(scenario: Scenario, name: string, hive: Record<string, unknown> = {}): Promise<void> {
  const nodes = await NodeCluster.create(scenario.world, [name]);
  const node = nodes.node(name);
  node.configureHive(hive);
  scenario.noted.set(`node ${name}`, node);
  scenario.noted.set("$BOX_SLOW", node.modelThere(await lastingModel()));
}

const nodeOf = (scenario: Scenario, name: string) => must(scenario.noted.get(`node ${name}`), name) as Node;

suite.step("a machine {string} with rbee", async function (name: string) {
  await makeMachine(this, name);
});

suite.step(
  "a machine {string} with rbee, where health is checked every {float} seconds and workers may idle for {float} seconds",
  async function (name: string, health: number, idle: number) {
    await makeMachine(this, name, { health_interval_s: health, idle_timeout_s: idle });
  },
);

suite.step("a hive on {string} that its operator started", async function (name: string) {
  this.hive = await nodeOf(this, name).startHive();
  this.noted.set("hiveThere", nodeOf(this, name).one("rbee-hive").pid);
});

suite.step("a person who has registered {string}", async function (name: string) {
  await nodeOf(this, name).register();
});

suite.step("a queen that stays and knows {string}", async function (name: string) {
  await this.world.up();
  await nodeOf(this, name).register();
  this.noted.set("queenPid", this.world.queenPid());
});

/** Lets a worker there answer. */
async function answer(scenario: Scenario, node: Node, model: string): Promise<void> {
  const args = ["infer", "--node", node.name, "--model", model, "--prompt", "hello", "--max-tokens", "4"];
  const { code, stderr } = await scenario.world.run("rbee", args);
  assert.equal(code, 0, stderr);
  scenario.noted.set("lastAnswerAt", performance.now());
}

suite.step("a worker on {string} that has answered", async function (name: string) {
  const node = nodeOf(this, name);
  await answer(this, node, "builtin:tiny");
  this.noted.set("hiveThere", node.one("rbee-hive").pid);
  this.noted.set("workerThere", node.one("llm-worker-rbee").pid);
});

suite.step("{int} workers on {string} for three models", async function (count: number, name: string) {
  const node = nodeOf(this, name);
  const models = ["builtin:tiny", node.modelThere(await steadyModel()), node.modelThere(await lastingModel())];
  for (const model of models) await answer(this, node, model);
  assert.equal(node.host.rbeeProcesses("llm-worker-rbee").length, count);
});

suite.step("the queen lists {int} worker(s) on {string}", async function (count: number, name: string) {
  const node = nodeOf(this, name);
  await eventually(async () => (await node.workers()).length === count, {
    withinMs: 2_000,
    what: `the queen lists ${count} workers on ${name}`,
  });
});

suite.step("the hive on {string} runs on and answers", async function (name: string) {
  const node = nodeOf(this, name);
  assert.equal(node.one("rbee-hive").pid, this.noted.get("hiveThere"));
  const { url } = JSON.parse(Deno.readTextFileSync(join(node.host.home, ".rbee/hive.json")));
  const asked = [
    "bash",
    "-c",
    `exec 3<>/dev/tcp/127.0.0.1/${new URL(url).port}; printf 'GET /v1/health HTTP/1.0\\r\\n` +
    `Host: localhost\\r\\n\\r\\n' >&3; cat <&3`,
  ];
  const { stdout } = await node.host.exec(asked);
  assert.match(stdout, /"status":"alive"/);
});

suite.step("it asks the worker on {string} for its health again and again", async function (name: string) {
  const node = nodeOf(this, name);
  const { pid } = node.one("llm-worker-rbee");
  const failed = async () => (await node.workers())[0]?.failed_health_checks;
  assert.ok(send(pid, "SIGSTOP"));
  await eventually(failed, { withinMs: 6_000, what: "a check has failed" });
  assert.ok(send(pid, "SIGCONT"));
  await eventually(async () => await failed() === 0, { withinMs: 2_000, what: "a check went well" });
});

suite.step("the hive on {string} ends it when it has idled, and runs on", async function (name: string) {
  const node = nodeOf(this, name);
  await eventually(() => node.host.rbeeProcesses("llm-worker-rbee").length === 0, {
    withinMs: 6_000,
    what: "the worker has ended",
  });
  assert.equal(node.one("rbee-hive").pid, this.noted.get("hiveThere"));
});

suite.step("the worker on {string} is frozen", function (name: string) {
  this.noted.set("node of the list", name);
  assert.ok(send(nodeOf(this, name).one("llm-worker-rbee").pid, "SIGSTOP"));
});

suite.step("the worker on {string} is thawed", function (name: string) {
  assert.ok(send(nodeOf(this, name).one("llm-worker-rbee").pid, "SIGCONT"));
});

suite.step("the queen lists it as {string}", async function (state: string) {
  const node = nodeOf(this, String(this.noted.get("node of the list")));
  await eventually(async () => (await node.workers())[0]?.state === state, {
    withinMs: 6_000,
    what: `the worker is ${state}`,
  });
});

suite.step("it is gone from the queen's list, and its process on {string} too", async function (name: string) {
  const node = nodeOf(this, name);
  await eventually(async () => (await node.workers()).length === 0, { withinMs: 18_000, what: "it is listed no more" });
  const pid = Number(this.noted.get("workerThere"));
  await eventually(() => !isAlive(pid), { withinMs: 12_000, what: "its process has ended" });
});

suite.step(
  "the worker on {string} ends by itself {int} seconds or more after its last answer",
  async function (_name: string, least: number) {
    const pid = Number(this.noted.get("workerThere"));
    await eventually(() => !isAlive(pid), { withinMs: 3_000, what: "the idle worker has ended", everyMs: 20 });
    const idledMs = performance.now() - Number(this.noted.get("lastAnswerAt"));
    // The answer was noted a little after it was given.
    assert.ok(idledMs > least * 1_000 - 500, `it ended after ${Math.round(idledMs)} ms`);
  },
);

suite.step("the hive on {string} gets SIGTERM", function (name: string) {
  assert.ok(send(nodeOf(this, name).one("rbee-hive").pid, "SIGTERM"));
});

suite.step("nothing of it is left on {string} but its files", async function (name: string) {
  const node = nodeOf(this, name);
  await eventually(() => node.leftovers().length === 0, {
    withinMs: 2_000,
    what: `nothing is left on ${name}`,
    seen: () => node.leftovers().join(", "),
  });
});

suite.step("the model catalog is still on the disk of {string}", function (name: string) {
  assert.ok(Deno.statSync(join(nodeOf(this, name).host.home, ".rbee/models.db")).size > 0);
});

suite.step("the same queen, and the same hive and worker on {string} run on", function (name: string) {
  const node = nodeOf(this, name);
  assert.equal(this.world.queenPid(), this.noted.get("queenPid"));
  assert.ok(isAlive(this.world.queenPid()));
  assert.equal(node.one("rbee-hive").pid, this.noted.get("hiveThere"));
  assert.equal(node.one("llm-worker-rbee").pid, this.noted.get("workerThere"));
});

suite.step("the hive on {string} is leased to the queen, and the worker there is its child", function (name: string) {
  const node = nodeOf(this, name);
  const hive = node.one("rbee-hive");
  assert.ok(hive.args.includes("--leased"));
  assert.equal(node.one("llm-worker-rbee").ppid, hive.pid);
  const [queen] = this.world.processes("queen-rbee");
  assert.equal(node.sshMaster().ppid, queen.pid, "her connection ends with her");
});

suite.step("a scan of every port of {string} from outside finds that of its sshd alone", async function (name: string) {
  const { host } = nodeOf(this, name);
  assert.ok(host.listeners().length >= 3, "its hive and its worker listen there");
  assert.deepEqual(await scanPorts(host.address), { open: [22], refused: 65_534, silent: 0 });
});

suite.step("the answer still comes", async function () {
  const command = must(this.command, "a command");
  const seen = command.stdout.length;
  await eventually(() => command.stdout.length > seen, { withinMs: 5_000, what: "more of the answer" });
});

suite.step("the operators' hive on {string} and queen run on, and no other there", function (name: string) {
  assert.equal(nodeOf(this, name).one("rbee-hive").pid, this.noted.get("hiveThere"));
  assert.deepEqual(this.world.processes("queen-rbee").map((p) => p.pid), [this.noted.get("queenPid")]);
});

suite.step("the operator ends the queen", async function () {
  const queen = must(this.queen, "a queen");
  queen.signal("SIGTERM");
  const { code, stderr } = await queen.ends(10_000);
  assert.equal(code, 0, stderr);
});
