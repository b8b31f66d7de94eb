/** Steps about the way from a command to tokens on another machine, and what lies on that way. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { VERSION } from "../../../runtime/version.ts";
import { eventually } from "../../support/eventually.ts";
import type { HubServer } from "../../support/hub_server.ts";
import { type Node, NodeCluster } from "../../support/nodes.ts";
import { catalogRows, mtl, startHub } from "./hub.ts";
import { must, type Scenario, suite } from "./scenario.ts";

const nodeOf = (scenario: Scenario, name: string) => must(scenario.noted.get(`node ${name}`), name) as Node;
const hubOf = (scenario: Scenario) => must(scenario.noted.get("hub") as HubServer | undefined, "a hub");

suite.step(
  "a machine {string} with rbee that reaches a hub with a model of {int} bytes",
  async function (name: string, size: number) {
    const nodes = await NodeCluster.create(this.world, [name]);
    const node = nodes.node(name);
    const hub = await startHub(this, size, node.host.controlAddress);
    node.configure({ models: { hf_endpoint: hub.url } });
    this.noted.set(`node ${name}`, node);
  },
);

suite.step("{string} has no hive any more, and was last connected a while ago", async function (name: string) {
  const { code, stderr } = await this.world.run("rbee", ["hive", "stop", "--node", name]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(nodeOf(this, name).living(), []);
  this.noted.set("connected before", await lastConnected(this, name));
  assert.deepEqual(catalogRows(join(nodeOf(this, name).host.home, ".rbee")), []);
  // It is told in whole seconds.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
});

interface ListedNode {
  readonly node_name: string;
  readonly [field: string]: unknown;
}

async function listed(scenario: Scenario, name: string): Promise<ListedNode> {
  const { json } = await scenario.world.call({ who: "queen" }, "GET /v2/nodes");
  return must((json.nodes as unknown as ListedNode[]).find((one) => one.node_name === name), name);
}

async function lastConnected(scenario: Scenario, name: string): Promise<number> {
  const { json } = await scenario.world.call({ who: "queen" }, "GET /v2/registry/beehives/list");
  const row = (json.nodes as unknown as ListedNode[]).find((one) => one.node_name === name);
  return Number(must(row, name).last_connected_unix);
}

suite.step("the queen took that task, and nobody called the hive or the worker past her", async function () {
  const { text } = await this.world.call({ who: "queen" }, "GET /metrics");
  assert.match(text, /rbee_http_requests_total\{route="\/v2\/tasks",status="200"\} 1\n/);
  // The only way there is the queen's own connection: no port of it can be reached but its sshd's.
  assert.deepEqual(nodeOf(this, "workstation").host.openPorts(), [22]);
});

suite.step(
  "the login to {string} is the registered one, and a hive of the queen's runs there",
  async function (name: string) {
    const node = nodeOf(this, name);
    const { args } = node.sshMaster();
    assert.ok(args.includes(`${node.host.user}@${name}`), args.join(" "));
    const { pid } = node.one("rbee-hive");
    const { hive_status, hive_pid, leased } = await listed(this, name);
    assert.deepEqual({ hive_status, leased }, { hive_status: "connected", leased: true });
    assert.ok(Number(hive_pid) > 0 && pid > 0);
  },
);

suite.step("{string} is reachable and was connected just now", async function (name: string) {
  assert.equal((await listed(this, name)).status, "reachable");
  const before = Number(this.noted.get("connected before"));
  await eventually(async () => await lastConnected(this, name) > before, {
    withinMs: 5_000,
    what: "the registry has the time of the connection",
  });
});

suite.step("the hive of {string} has this build's version and is alive", async function (name: string) {
  const { hive_version, machine } = await listed(this, name);
  assert.equal(hive_version, VERSION);
  assert.ok(Number((machine as { memory_available_bytes: number }).memory_available_bytes) > 0);
});

suite.step("the hub sent the model to {string} once", function (_name: string) {
  const sent = hubOf(this).bytesSent(mtl.fileName);
  // Once, and its header for the plan.
  assert.ok(sent >= 5_242_880 && sent < 5_242_880 + 1_500_000, `${sent} bytes`);
});

suite.step("the catalog of {string} has the model", function (name: string) {
  const { host } = nodeOf(this, name);
  const rows = catalogRows(join(host.home, ".rbee"));
  assert.equal(rows.length, 1);
  const { provider, local_path: path, size_bytes: size } = rows[0];
  assert.deepEqual({ provider, size }, { provider: "hf", size: 5_242_880 });
  const here = String(path).replace(host.userHome, host.home);
  assert.equal(Deno.statSync(here).size, size);
});

suite.step(
  "the worker of {string} listens on a port of its range alone, with backend {string} and device {int}",
  async function (name: string, backend: string, device: number) {
    const node = nodeOf(this, name);
    node.one("llm-worker-rbee");
    const [worker, ...others] = await node.workers();
    assert.deepEqual(others, []);
    assert.deepEqual({ backend: worker.backend, device: worker.device }, { backend, device });
    assert.ok(worker.port >= 8081 && worker.port <= 8999, String(worker.port));
    const mine = node.host.listeners().filter(({ port }) => port === worker.port);
    assert.ok(mine.length > 0 && mine.every(({ isLoopback }) => isLoopback));
  },
);

suite.step("the queen lists it as idle with that model", async function () {
  const node = nodeOf(this, "workstation");
  await eventually(async () => (await node.workers())[0]?.state === "idle", { withinMs: 2_000, what: "it is idle" });
  assert.match((await node.workers())[0].model_ref, new RegExp(`^${mtl.reference}`));
});

suite.step("an idle worker on {string} that holds the model", async function (name: string) {
  const { code, stderr } = await this.world.run(
    "rbee",
    ["workers", "start", "--node", name, "--model", mtl.reference],
    {
      withinMs: 30_000,
    },
  );
  assert.equal(code, 0, stderr);
  const [worker] = await nodeOf(this, name).workers();
  assert.equal(worker.state, "idle");
  this.noted.set("worker before", worker.id);
  this.noted.set("asked before", hubOf(this).log.length);
});

suite.step("it took less than {int} seconds", function (seconds: number) {
  // The machine that tests may be busy with others.
  const { durationMs } = must(this.finished, "an end");
  assert.ok(durationMs < seconds * 3_000, `${durationMs} ms`);
});

suite.step("the same worker answered, and no other was started", async function () {
  const node = nodeOf(this, "workstation");
  node.one("llm-worker-rbee");
  assert.deepEqual((await node.workers()).map(({ id }) => id), [this.noted.get("worker before")]);
});

suite.step("the hub was asked for nothing more", function () {
  assert.equal(hubOf(this).log.length, this.noted.get("asked before"));
});

suite.step("stdout has tokens and nothing else", function () {
  const { stdout } = must(this.finished, "an end");
  assert.match(stdout, /\S/);
  assert.doesNotMatch(stdout, /\[(rbee|queen)|⏳|MB|hf:/);
});
