/** Steps about what is found out before another machine is used: whether it answers, its version, its key. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { Cluster } from "../../support/cluster.ts";
import { eventually } from "../../support/eventually.ts";
import { LoopbackNode } from "../../support/loopback_node.ts";
import { networkAddress } from "../../support/network.ts";
import { otherBuild } from "../../support/other_build.ts";
import { Program } from "../../support/program.ts";
import { type Answer, World } from "../../support/world.ts";
import { sshHome } from "./nodes.ts";
import { must, type Scenario, suite } from "./scenario.ts";

async function addNode(scenario: Scenario, name: string, flags: readonly string[]): Promise<void> {
  await scenario.start(`setup add-node --name ${name} ${flags.join(" ")}`);
  const { code, stderr } = await scenario.ends();
  assert.equal(code, 0, stderr);
}

interface Wish {
  readonly programs?: string;
  readonly config?: readonly string[];
}

async function registered(scenario: Scenario, host: string, wish: Wish = {}): Promise<void> {
  const node = await LoopbackNode.start(scenario.world, { ssh: sshHome(scenario), host, ...wish });
  scenario.atEnd(async () => await node[Symbol.asyncDispose]());
  scenario.noted.set(`machine ${host}`, node);
  await addNode(scenario, host, node.flags);
}

const machine = (scenario: Scenario, host: string) =>
  must(scenario.noted.get(`machine ${host}`) as LoopbackNode | undefined, `machine ${host}`);

suite.step("a registered machine {string} with this build", async function (host: string) {
  await registered(this, host);
});

suite.step("a registered machine {string} with a build of version {string}", async function (host, version: string) {
  await registered(this, host as string, { programs: await otherBuild(version) });
});

suite.step("a registered machine {string} that forbids forwarding", async function (host: string) {
  await registered(this, host, { config: ["AllowTcpForwarding no"] });
});

suite.step("a registered machine {string} at the end of a cable", async function (host: string) {
  const cluster = await Cluster.create(this.world, { hosts: [host], ssh: sshHome(this) });
  this.atEnd(async () => await cluster[Symbol.asyncDispose]());
  this.noted.set("cluster", cluster);
  await addNode(this, host, ["--ssh-host", host, "--ssh-user", cluster.host(host).user]);
});

suite.step("the cable of {string} is pulled", async function (host: string) {
  await must(this.noted.get("cluster") as Cluster | undefined, "a cluster").host(host).pullCable();
});

suite.step("an attempt at a connection may take {int} second(s)", function (seconds: number) {
  this.world.configure({ remote: { connect_timeout_s: seconds } });
});

suite.step("the sshd of {string} has ended", async function (host: string) {
  await machine(this, host).killSshd();
});

suite.step("{string} answers nobody any more", async function (host: string) {
  const node = machine(this, host);
  await node.killSshd();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: node.ports.queen });
  this.atEnd(() => Promise.resolve(listener.close()));
});

suite.step("{string} has another host key than before", async function (host: string) {
  const node = machine(this, host);
  await node.killSshd();
  for (const name of ["host_key", "host_key.pub"]) Deno.removeSync(join(node.home, "sshd", name));
  await node.startSshd();
});

suite.step("the operator of {string} has started its hive", async function (host: string) {
  const node = machine(this, host);
  const { hive, workerStart, workerEnd } = node.ports;
  this.hive = new Program({
    exe: join(node.home, "rbee/current/rbee-hive"),
    args: ["daemon"],
    cwd: node.home,
    env: {
      HOME: node.home,
      RBEE_HOME: node.rbeeHome,
      PATH: "/usr/bin:/bin",
      RBEE_HIVE_PORT: String(hive),
      RBEE_WORKERS_PORT_START: String(workerStart),
      RBEE_WORKERS_PORT_END: String(workerEnd),
    },
  });
  this.world.programs.push(this.hive);
  await this.hive.sees(/listening/, { withinMs: 10_000 });
});

suite.step("the operator's hive on {string} is the one that runs there", function (host: string) {
  const { pid, isRunning } = must(this.hive, "a hive");
  assert.ok(isRunning);
  assert.deepEqual(machine(this, host).processes("rbee-hive").map((one) => one.pid), [pid]);
  assert.equal(machine(this, host).hivePid(), pid);
});

suite.step("a person with a build of version {string} runs {string}", async function (version: string, line: string) {
  await this.start(line, { programs: await otherBuild(version) });
  await this.ends(30_000);
});

suite.step("a person whose key is {string} runs {string}", async function (key: string, line: string) {
  this.env.RBEE_QUEEN_TOKEN = key;
  await this.start(line);
  await this.ends();
});

suite.step("the hive on {string} is asked there for its health", async function (host: string) {
  const { url } = JSON.parse(Deno.readTextFileSync(join(machine(this, host).rbeeHome, "hive.json")));
  this.answer = await answerOf(await fetch(`${url}/v1/health`));
});

suite.step(
  "it says that it is {string}, of version {string}, and speaks {string}",
  function (status: string, version: string, api: string) {
    const { json } = must(this.answer, "an answer");
    assert.deepEqual([json.status, json.version, json.api_version], [status, version, api]);
  },
);

suite.step(
  "a hive of version {string} has run on {string}, and nothing of rbee does now",
  function (version: string, host: string) {
    const node = machine(this, host);
    const log = Deno.readTextFileSync(join(node.rbeeHome, "logs/hive.log"));
    assert.ok(log.includes(`"version":"${version}"`), log);
    const left = [...node.processes("rbee-hive"), ...node.processes("llm-worker-rbee")];
    assert.deepEqual(left.map(({ args }) => args.join(" ")), []);
  },
);

suite.step("these are the attempts that stderr tells of", function (wanted: string) {
  const { stderr } = must(this.finished, "an end");
  const told = stderr.split("\n").filter((line) => line.includes("Attempt"));
  assert.deepEqual(told, wanted.split("\n").map((line) => `[queen-rbee] 🔌 ${line}`));
});

suite.step("the whole error is", function (wanted: string) {
  const { stderr } = must(this.finished, "an end");
  assert.equal(stderr.split("[rbee-keeper] ❌ Error: ")[1]?.trimEnd(), wanted, stderr);
});

suite.step("stderr does not hold {string}", function (text: string) {
  const { stderr } = must(this.finished, "an end");
  assert.ok(!stderr.includes(text), stderr);
});

suite.step("a queen whose configured key is {string}", async function (key: string) {
  this.queen = await this.world.startQueen({ RBEE_QUEEN_TOKEN: key });
});

suite.step("she is asked for an answer with the key {string}", async function (key: string) {
  this.answer = await answerOf(
    await fetch(`${this.world.queenUrl()}/v2/tasks`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ prompt: "hello", max_tokens: 4 }),
    }),
  );
});

suite.step("its message says that the key is invalid or missing", function () {
  assert.match(String(must(this.answer, "an answer").json.error.message), /key is invalid or missing/);
});

const networkKey = "a-key-that-a-person-has-made-up";

interface Direct {
  readonly far: World;
  readonly hive: Program;
  readonly place: string;
  readonly tokenFile: string;
  readonly certificate: string;
}

const direct = (scenario: Scenario) =>
  must(scenario.noted.get("direct") as Direct | undefined, "a hive on the network");

async function startDirect(far: World, programs?: string): Promise<Program> {
  const args = ["daemon", "--listen", networkAddress().listen];
  const hive = far.start("rbee-hive", args, { programs, env: { RBEE_HIVE_TOKEN: networkKey } });
  await eventually(() => !hive.isRunning || far.hivePid() === hive.pid, {
    withinMs: 10_000,
    what: "a hive on the network",
    seen: () => hive.account(),
  });
  assert.ok(hive.isRunning, hive.account());
  return hive;
}

suite.step("a hive on the network that is registered as {string}", async function (name: string) {
  const far = new World();
  this.atEnd(async () => await far[Symbol.asyncDispose]());
  const hive = await startDirect(far);
  const [tokenFile, certificate] = ["token", "crt"].map((suffix) => join(this.world.userHome, `${name}.${suffix}`));
  Deno.writeTextFileSync(tokenFile, networkKey, { mode: 0o600 });
  Deno.copyFileSync(join(far.home, "tls/hive.crt"), certificate);
  const place = `${networkAddress().address}:${far.ports.hive}`;
  const files = ["--token-file", tokenFile, "--ca-cert", certificate];
  await addNode(this, name, ["--transport", "direct", "--address", place, ...files]);
  this.noted.set("direct", { far, hive, place, tokenFile, certificate } satisfies Direct);
});

suite.step("its operator has upgraded it to version {string}", async function (version: string) {
  const { far, hive } = direct(this);
  hive.signal("SIGTERM");
  assert.equal((await hive.ends(10_000)).code, 0, hive.account());
  await startDirect(far, await otherBuild(version));
});

suite.step("the file of its key holds {string} now", function (key: string) {
  Deno.writeTextFileSync(direct(this).tokenFile, key);
});

suite.step("it is asked for its workers with the key {string}", async function (key: string) {
  const { place, certificate } = direct(this);
  using client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(certificate)] });
  const headers = { authorization: `Bearer ${key}` };
  this.answer = await answerOf(await fetch(`https://${place}/v1/workers/list`, { headers, client }));
});

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: JSON.parse(text) };
}
