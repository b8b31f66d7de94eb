/** Steps about machines that are reached by SSH. */
import assert from "node:assert/strict";
import { openRegistry } from "../../../queen/nodes.ts";
import type { Beehive } from "../../../protocol/node.ts";
import { join } from "../../../runtime/path.ts";
import { me, type Sshd, SshHome, startSshd } from "../../support/sshd.ts";
import { must, type Scenario, suite } from "./scenario.ts";

/** The scenario's person with an SSH key. */
export function sshHome(scenario: Scenario): SshHome {
  const known = scenario.noted.get("sshHome") as SshHome | undefined;
  if (known) return known;
  const made = new SshHome(scenario.world);
  scenario.noted.set("sshHome", made);
  scenario.env.PATH = `${made.bin}:${scenario.world.environment().PATH}`;
  return made;
}

/** What the person's configuration says of a host besides its port, and the lines of its sshd_config that come first. */
export interface SshdWish {
  readonly more?: readonly string[];
  readonly config?: readonly string[];
}

/** Returns the next free port of the scenario's range: those between the hive's and the workers'. */
export function nextPort(scenario: Scenario): number {
  const count = Number(scenario.noted.get("sshds") ?? 0);
  scenario.noted.set("sshds", count + 1);
  const port = scenario.world.ports.hive + 1 + count;
  assert.ok(port < scenario.world.ports.workerStart, "a port is left for this sshd");
  return port;
}

/** Starts a host's sshd; whether the person knows its host key is up to the step. */
export async function sshdFor(scenario: Scenario, host: string, { more, config }: SshdWish = {}): Promise<Sshd> {
  const home = sshHome(scenario);
  const port = nextPort(scenario);
  const folder = join(scenario.world.root, `sshd-${port}`);
  const sshd = await startSshd({ folder, port, config, authorizedKeys: join(home.folder, "id_ed25519.pub") });
  scenario.atEnd(async () => await sshd[Symbol.asyncDispose]());
  home.addHost(host, port, { more });
  scenario.noted.set(`sshd of ${host}`, sshd);
  return sshd;
}

async function rows(scenario: Scenario): Promise<Beehive[]> {
  using registry = await openRegistry(join(scenario.world.home, "beehives.db"));
  return registry.beehives().map((row) => ({ ...row }));
}

suite.step("a machine {string} that this person can log in to", async function (host: string) {
  const sshd = await sshdFor(this, host);
  sshHome(this).trust(sshd.port, sshd.hostKey);
});

suite.step("a machine {string} whose host key is unknown", async function (host: string) {
  await sshdFor(this, host);
});

suite.step("a machine {string} whose host key was another one before", async function (host: string) {
  const sshd = await sshdFor(this, host);
  sshHome(this).trust(sshd.port, Deno.readTextFileSync(join(sshHome(this).folder, "id_ed25519.pub")).trim());
});

suite.step("a machine {string} that does not know this person's key", async function (host: string) {
  const sshd = await sshdFor(this, host);
  sshHome(this).trust(sshd.port, sshd.hostKey);
  Deno.writeTextFileSync(join(sshHome(this).folder, "id_ed25519.pub"), "");
});

suite.step("a machine {string} that takes connections and never answers", function (host: string) {
  const port = this.world.ports.hive + 1;
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  this.atEnd(() => Promise.resolve(listener.close()));
  sshHome(this).addHost(host, port);
});

suite.step("a person with an SSH key", function () {
  sshHome(this);
});

suite.step("{string} is registered as {string}", async function (host: string, name: string) {
  await this.start(`setup add-node --name ${name} --ssh-host ${host} --ssh-user $ME --ssh-key ~/.ssh/id_ed25519`);
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
});

suite.step("RBEE_HOME is a copy of it at a path of {int} bytes", function (bytes: number) {
  const { root, home } = this.world;
  const long = join(root, "x".repeat(bytes - root.length - 1));
  Deno.mkdirSync(long, { mode: 0o700 });
  for (const { name, isFile } of Deno.readDirSync(home)) {
    if (isFile) Deno.copyFileSync(join(home, name), join(long, name));
  }
  this.env.RBEE_HOME = long;
});

suite.step("ssh logged in to {string} once, with that key, and ran the connection test", function (host: string) {
  const { calls, folder } = sshHome(this);
  assert.equal(calls.length, 1, calls.join("\n"));
  assert.ok(calls[0].includes(` -i ${folder}/id_ed25519 -- ${me()}@${host} echo 'connection test'`), calls[0]);
});

suite.step("ssh was not called", function () {
  assert.deepEqual(sshHome(this).calls, []);
});

suite.step("the registry holds {string} at {string}, reached just now", async function (name: string, host: string) {
  const [row, ...more] = await rows(this);
  assert.equal(more.length, 0);
  const { last_connected_unix: at, install_path: installed, ...rest } = row;
  const now = Date.now() / 1_000;
  assert.ok(Math.abs(now - must(at, "a time")) < 60, String(at));
  assert.match(installed, /^\/.*\/?rbee$/);
  assert.deepEqual(rest, {
    ...{ node_name: name, transport: "ssh", status: "reachable", last_error: null, platform: null },
    ...{ ssh_host: host, ssh_port: 22, ssh_user: me(), ssh_key_path: `${sshHome(this).folder}/id_ed25519` },
    ...{ git_repo_url: "https://github.com/user/rbee.git", git_branch: "main" },
    ...{ hive_port: 9200, worker_port_start: 8081, worker_port_end: 8999 },
  });
});

suite.step("the registry holds no machine", async function () {
  assert.deepEqual(await rows(this), []);
});

suite.step("stdout is the list of {string} and {string}", function (first: string, second: string) {
  const { stdout } = must(this.finished, "an end");
  const block = (name: string) =>
    `\n${name} \\(${name}\\.home\\.arpa\\)\n  Status: reachable\n` +
    `  Last connected: \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\n  Install path: /.*rbee\n`;
  assert.match(stdout, new RegExp(`^Registered rbee-hive nodes:\n${block(first)}${block(second)}$`));
});
