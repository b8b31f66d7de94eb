/** Steps about rbee on machines that have nothing but sshd. */
import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { join } from "../../../runtime/path.ts";
import { PLATFORM, VERSION } from "../../../runtime/version.ts";
import type { Table } from "../../support/gherkin.ts";
import { me } from "../../support/sshd.ts";
import { namesIn, unfinishedThere, versionThere } from "../../support/node_installation.ts";
import { type Node, NodeCluster, type NodeHost } from "../../support/nodes.ts";
import {
  buildTools,
  linkTools,
  makeRepository,
  makeSmallRepository,
  SourceServer,
} from "../../support/source_repository.ts";
import { must, type Scenario, suite } from "./scenario.ts";

/** A build is asked for once in a test, and shares the machine with other tests. */
const buildMs = 60_000;

const nodeOf = (scenario: Scenario, name: string) => must(scenario.noted.get(`node ${name}`), name) as Node;

/** Makes the scenario's other machines; nobody has registered them. */
async function makeMachines(scenario: Scenario, hosts: readonly NodeHost[]): Promise<Node[]> {
  const nodes = await NodeCluster.create(scenario.world, hosts.map((host) => ({ ...host, isBare: true })));
  scenario.noted.set("cluster", nodes);
  return hosts.map(({ name }) => {
    const node = nodes.node(name);
    scenario.noted.set(`node ${name}`, node);
    return node;
  });
}

suite.step("machines {string} and {string} with nothing on them but sshd", async function (a: string, b: string) {
  await makeMachines(this, [{ name: a }, { name: b }]);
});

suite.step("a machine {string} with what a build of rbee needs", async function (name: string) {
  await makeMachines(this, [{ name, ...await buildTools() }]);
});

/** The folder of programs that a login there finds first, or alone. */
const toolsThere = "bin";

suite.step("a machine {string} without {string}", async function (name: string, without: string) {
  const home = userInfo().homedir;
  const [{ host }] = await makeMachines(this, [{ name, env: { PATH: join(home, toolsThere) } }]);
  linkTools(join(host.home, toolsThere), without.split(" "));
});

suite.step("a machine {string} that is an ARM", async function (name: string) {
  const [{ host }] = await makeMachines(this, [{
    name,
    env: { PATH: `${join(userInfo().homedir, toolsThere)}:/usr/bin:/bin` },
  }]);
  const uname = join(host.home, toolsThere, "uname");
  Deno.mkdirSync(join(uname, ".."));
  Deno.writeTextFileSync(uname, '#!/bin/sh\n[ "$1" = -m ] && echo aarch64 || exec /usr/bin/uname "$@"\n', {
    mode: 0o755,
  });
});

/** Makes the scenario's repository, and lets the machine in to clone it. */
async function serveRepository(
  scenario: Scenario,
  name: string,
  make: (path: string) => Promise<void>,
): Promise<void> {
  const path = join(scenario.world.root, "rbee.git");
  await make(path);
  const { cluster: { ssh } } = must(scenario.noted.get("cluster"), "machines") as NodeCluster;
  const server = await SourceServer.start(nodeOf(scenario, name).host, {
    ssh,
    folder: join(scenario.world.root, "source"),
    port: scenario.world.ports.hive + 1,
  });
  scenario.atEnd(() => server[Symbol.asyncDispose]());
  scenario.noted.set("repository", server.address(path));
}

suite.step("a repository of this checkout, which {string} reaches by SSH", async function (name: string) {
  await serveRepository(this, name, makeRepository);
});

suite.step("a repository of small programs, which {string} reaches by SSH", async function (name: string) {
  await serveRepository(this, name, makeSmallRepository);
});

suite.step("a person who has registered {string} with that repository", async function (name: string) {
  const args = ["setup", "add-node", "--name", name, "--ssh-host", name, "--ssh-user", me()];
  const repo = String(must(this.noted.get("repository"), "a repository"));
  const { code, stderr } = await this.world.run("rbee", [...args, "--git-repo", repo]);
  assert.equal(code, 0, stderr);
});

suite.step("the configuration's git_repo_dir is {string}", function (path: string) {
  this.world.configure({ remote: { git_repo_dir: path } });
});

suite.step("a person runs {string}, and waits for a build", async function (line: string) {
  await this.start(line);
  await this.ends(buildMs);
});

suite.step("{string} has the checkout in {string} and its build in use", function (name: string, folder: string) {
  const { home } = nodeOf(this, name).host;
  assert.match(Deno.readTextFileSync(join(home, folder, ".git/HEAD")), /^ref: refs\/heads\/main/);
  for (const program of ["rbee-hive", "llm-worker-rbee"]) {
    const built = Deno.statSync(join(home, folder, "dist", PLATFORM, program));
    assert.equal(Deno.statSync(join(home, "rbee/current", program)).size, built.size, program);
  }
  assert.equal(versionThere(nodeOf(this, name)), VERSION);
  assert.deepEqual(unfinishedThere(nodeOf(this, name)), []);
});

suite.step("nothing of git lies in {string} on {string}", function (folder: string, name: string) {
  assert.deepEqual(namesIn(join(nodeOf(this, name).host.home, folder)), ["current", "versions"]);
});

suite.step("nothing of rbee lies on {string}", function (name: string) {
  const { home } = nodeOf(this, name).host;
  assert.deepEqual(namesIn(join(home, "rbee")), []);
  assert.deepEqual(namesIn(join(home, ".rbee")), []);
});

suite.step("stdout names these installations", async function (table: Table) {
  const { stdout } = await this.ends();
  const lines = stdout.trim().split("\n");
  assert.equal(lines.length, table.rows.length, stdout);
  for (const [i, [name, sent]] of table.rows.entries()) {
    assert.match(lines[i], new RegExp(`^✓ ${name}: v${VERSION}, ${PLATFORM}, cpu${sent ? `, ${sent}` : ""}$`));
  }
});

suite.step(
  "of rbee nothing runs on {string}, and what it said stays is all that is left there",
  async function (name: string) {
    const node = nodeOf(this, name);
    const { stderr } = await this.ends();
    await node.nothingRuns();
    const { home, userHome } = node.host;
    const data = namesIn(home).filter((one) => !["models", ".config"].includes(one)); // what the test brought
    const told = [...stderr.matchAll(/ (\/\S+) stays/g)].map((match) => match[1]);
    assert.deepEqual(
      data.filter((one) => !told.some((path) => `${path}/`.startsWith(`${join(userHome, one)}/`))),
      [],
      `nothing else is left: ${stderr}`,
    );
    assert.ok(!data.includes("rbee"), data.join(" "));
  },
);
