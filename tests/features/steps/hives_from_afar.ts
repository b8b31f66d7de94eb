/** Steps about hives on other machines, as one machine can play them. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { eventually } from "../../support/eventually.ts";
import { LoopbackNode } from "../../support/loopback_node.ts";
import { programOf, send } from "../../support/processes.ts";
import { Program } from "../../support/program.ts";
import { executables } from "../../support/world.ts";
import { sshHome } from "./nodes.ts";
import { must, type Scenario, suite } from "./scenario.ts";

async function startNode(scenario: Scenario, host: string): Promise<LoopbackNode> {
  const node = await LoopbackNode.start(scenario.world, { ssh: sshHome(scenario), host });
  scenario.atEnd(async () => await node[Symbol.asyncDispose]());
  scenario.noted.set(`node ${host}`, node);
  await scenario.start(`setup add-node --name ${host} ${node.flags.join(" ")}`);
  const { code, stderr } = await scenario.ends();
  assert.equal(code, 0, stderr);
  return node;
}

const nodeOf = (scenario: Scenario, host: string) =>
  must(scenario.noted.get(`node ${host}`) as LoopbackNode | undefined, `machine ${host}`);

suite.step("a machine {string} with rbee on it", async function (host: string) {
  await startNode(this, host);
});

suite.step("a machine {string} whose hive lies at {string} alone", async function (host: string, path: string) {
  const node = await startNode(this, host);
  Deno.removeSync(join(node.home, "rbee/current"));
  const exe = join(node.home, path);
  Deno.mkdirSync(join(exe, ".."), { recursive: true });
  // The hive looks for its worker beside itself.
  for (const name of ["rbee-hive", "llm-worker-rbee"]) {
    Deno.copyFileSync(join(executables, name), join(exe, "..", name));
  }
  this.noted.set("binaryPath", exe);
});

suite.step("the configuration names that path for other machines", function () {
  this.world.configure({ remote: { binary_path: must(this.noted.get("binaryPath"), "a path") } });
});

suite.step("every command for a hive on {string} named that path and no other", function (host: string) {
  const path = must(this.noted.get("binaryPath"), "a path");
  const commands = sshHome(this).calls.filter((line) => line.includes(`@${host} `) && / sh -s -- 'st/.test(line));
  assert.ok(commands.length > 0, "a command was run there");
  for (const line of commands) assert.ok(line.includes(`'start' '${path}' `), line);
});

suite.step("a queen that keeps the pool ready", async function () {
  await this.start("up");
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
  await eventually(async () => {
    const { json } = await this.world.call({ who: "queen" }, "GET /v2/nodes");
    return (json.nodes as unknown as { hive_status: string }[]).every(({ hive_status }) => hive_status === "connected");
  }, { withinMs: 10_000, what: "every hive is connected" });
});

suite.step("a worker on {string} that has loaded {string}", async function (host: string, model: string) {
  await this.start(`workers start --node ${host} --model ${model}`);
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
});

suite.step("the worker on {string} takes no requests any more", function (host: string) {
  const [{ pid }] = nodeOf(this, host).processes("llm-worker-rbee");
  assert.ok(send(pid, "SIGSTOP"));
});

suite.step("the sshd of {string} is killed with every login", async function (host: string) {
  await nodeOf(this, host).killSshd();
});

suite.step(
  "a person runs {string} until it says that {string} is unreachable",
  async function (line: string, host: string) {
    await eventually(async () => {
      await this.start(line);
      const { stdout } = await this.ends();
      return stdout.includes(`✗ ${host}: unreachable: `);
    }, { withinMs: 10_000, what: `${host} is told to be unreachable`, seen: () => this.finished?.stdout ?? "" });
  },
);

suite.step("stdout names an idle worker on {string} and on {string}", function (first: string, second: string) {
  const { stdout } = must(this.finished, "an end");
  for (const node of [first, second]) {
    assert.match(stdout, new RegExp(`^worker-[0-9a-f]+ +${node} +idle +builtin:tiny `, "m"));
  }
});

suite.step(
  "the answer's workers are on {string}, and {string} is unreachable with a reason",
  async function (on, host) {
    const { stdout } = await this.ends();
    const { workers, nodes } = JSON.parse(stdout);
    assert.deepEqual(workers.map(({ node }: { node: string }) => node).sort().join(", "), on);
    const far = nodes.find(({ node }: { node: string }) => node === host);
    assert.equal(far.status, "unreachable");
    assert.ok(far.error.length > 0);
  },
);

suite.step("stdout is one line that says the worker on {string} is ready", function (host: string) {
  const { stdout } = must(this.finished, "an end");
  assert.match(stdout, new RegExp(`^✓ worker-[0-9a-f]+ on ${host}: idle, ready\n$`));
});

suite.step("the hive on {string} is {word}", async function (host: string, state: string) {
  if (state === "connected") return assert.ok(nodeOf(this, host).hivePid());
  await this.start(`hive stop --node ${host}`);
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
});

suite.step("a person starts {string}", async function (line: string) {
  await this.start(line);
});

const hiveLog = (node: LoopbackNode) => join(node.rbeeHome, "logs/hive.log");

suite.step("the first lines of that log are on stdout", async function () {
  await must(this.command, "a command").sees(/\[rbee-hive\] listening /, { stream: "stdout", withinMs: 10_000 });
});

suite.step("a line is added to that log", function () {
  const line = JSON.stringify({
    time: new Date().toISOString(),
    level: "warn",
    message: "it rains",
    on: "workstation",
  });
  Deno.writeTextFileSync(hiveLog(nodeOf(this, "workstation")), line + "\n", { append: true });
});

suite.step("that line is on stdout as well", async function () {
  const command = must(this.command, "a command");
  await command.sees(/WARN {2}\[rbee-hive\] it rains {2}on=workstation\n/, { stream: "stdout", withinMs: 5_000 });
  assert.ok(command.isRunning);
});

suite.step(
  "it ends with exit code {int} and leaves nothing that follows on {string}",
  async function (code: number, host: string) {
    const finished = await this.ends(5_000);
    assert.equal(finished.code, code, finished.stderr);
    const node = nodeOf(this, host);
    await eventually(() => node.processes().every((one) => programOf(one) !== "tail" && programOf(one) !== "sh"), {
      withinMs: 5_000,
      what: "nothing follows there",
      seen: () => node.processes().map(({ args }) => args.join(" ")).join("\n"),
    });
  },
);

suite.step("a log of a hive that ran there once", function () {
  const path = hiveLog(nodeOf(this, "workstation"));
  Deno.mkdirSync(join(path, ".."), { recursive: true });
  Deno.writeTextFileSync(path, '{"time":"2026-01-02T03:04:05.678Z","level":"info","message":"ended"}\n');
});

suite.step("stdout is that log", function () {
  assert.match(must(this.finished, "an end").stdout, /^2026-01-0\d \d\d:04:05\.678 INFO {2}\[rbee-hive\] ended\n$/);
});

suite.step("nothing of rbee runs on {string} any more", async function (host: string) {
  const node = nodeOf(this, host);
  await eventually(() => node.processes("rbee-hive").length + node.processes("llm-worker-rbee").length === 0, {
    withinMs: 5_000,
    what: `nothing runs on ${host}`,
    seen: () => node.processes().map(({ args }) => args.join(" ")).join("\n"),
  });
});

async function onlyHive(node: LoopbackNode): Promise<number> {
  // The one before may take a moment to be gone.
  await eventually(() => node.processes("rbee-hive").length === 1, {
    withinMs: 5_000,
    what: "one hive",
    seen: () => node.processes().map(({ args }) => args.join(" ")).join("\n"),
  });
  const [{ pid }] = node.processes("rbee-hive");
  assert.equal(node.hivePid(), pid);
  return pid;
}

suite.step("the hive on {string} is the only one there", async function (host: string) {
  this.noted.set("hivePid", await onlyHive(nodeOf(this, host)));
});

suite.step("another hive is the only one on {string}", async function (host: string) {
  const before = this.noted.get("hivePid");
  const pid = await onlyHive(nodeOf(this, host));
  assert.notEqual(pid, before);
  this.noted.set("hivePid", pid);
});

suite.step("stdout names its process, its version, and its queen as who started it", async function () {
  const { stdout } = await this.ends();
  const node = nodeOf(this, "workstation");
  const row = new RegExp(
    `^workstation +connected +\\d\\S+ +${this.noted.get("hivePid")} +its queen +0 +[\\d.]+ GB +` +
      `${node.user}@workstation, port ${node.ports.hive}$`,
    "m",
  );
  assert.match(stdout, row);
});

suite.step("the queen does not start it again by herself", async function () {
  const { json } = await this.world.call({ who: "queen" }, "GET /v2/nodes");
  const nodes = json.nodes as unknown as { node_name: string; hive_status: string; last_error: string | null }[];
  const { hive_status, last_error } = must(nodes.find((one) => one.node_name === "workstation"), "the node");
  assert.deepEqual([hive_status, last_error], ["not-connected", null]);
  // Longer than her first attempts to have a lost hive back would take.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual(nodeOf(this, "workstation").processes("rbee-hive"), []);
});

suite.step("a hive that an operator started on {string}", async function (host: string) {
  const node = nodeOf(this, host);
  const env = { HOME: node.home, RBEE_HOME: node.rbeeHome, PATH: "/usr/bin:/bin" };
  const exe = join(node.home, "rbee/current/rbee-hive");
  const hive = new Program({ exe, args: ["daemon", "--port", String(node.ports.hive)], cwd: node.home, env });
  this.atEnd(async () => {
    hive.signal("SIGKILL");
    await hive.ends(5_000);
  });
  await eventually(() => node.hivePid() === hive.pid, { withinMs: 10_000, what: "the operator's hive is up" });
});
