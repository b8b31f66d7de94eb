/** Steps about logins by SSH that do not work, or only by what the person's configuration says. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import type { Sshd } from "../../support/sshd.ts";
import { nextPort, sshdFor, type SshdWish, sshHome } from "./nodes.ts";
import { must, type Scenario, suite } from "./scenario.ts";

const key = (scenario: Scenario) => join(sshHome(scenario).folder, "id_ed25519");

async function trusted(scenario: Scenario, host: string, wish?: SshdWish): Promise<Sshd> {
  const sshd = await sshdFor(scenario, host, wish);
  sshHome(scenario).trust(sshd.port, sshd.hostKey);
  return sshd;
}

suite.step("a machine {string} whose name nobody knows", function (host: string) {
  sshHome(this).addHost(host, 22, { address: "no-such-name.invalid" });
});

suite.step("a machine {string} on which no sshd listens", function (host: string) {
  sshHome(this).addHost(host, nextPort(this));
});

suite.step("a machine {string} for which the key's file is missing", async function (host: string) {
  await trusted(this, host);
  Deno.removeSync(key(this));
});

suite.step("a machine {string} for which the key's file is open to others", async function (host: string) {
  await trusted(this, host);
  Deno.chmodSync(key(this), 0o644);
});

suite.step("a machine {string} for which the key's file is no private key", async function (host: string) {
  await trusted(this, host);
  Deno.copyFileSync(`${key(this)}.pub`, key(this));
  Deno.chmodSync(key(this), 0o600);
});

suite.step("a machine {string} for which the key has a passphrase and no agent", async function (host: string) {
  await trusted(this, host);
  sshHome(this).lockKey();
});

suite.step("a machine {string} that gives its users no shell", async function (host: string) {
  await trusted(this, host, { config: ["ForceCommand /usr/sbin/nologin"] });
});

suite.step("a machine {string} whose shell is missing", async function (host: string) {
  await trusted(this, host, { config: ["ForceCommand /bin/nosuch"] });
});

/** What these two print for the connection test; nobody has a Windows here, so a file of that text answers. */
const windows: Readonly<Record<string, string>> = {
  "cmd.exe": "'connection test'; echo \"rbee-home=$HOME\"\r\n",
  PowerShell: "connection test\r\nrbee-home=C:\\Users\\me\r\n",
};

suite.step("a machine {string} that answers by {word}", async function (host: string, shell: string) {
  const path = join(this.world.root, "windows");
  Deno.writeTextFileSync(path, must(windows[shell], shell));
  await trusted(this, host, { config: [`ForceCommand cat ${path}`] });
});

const jump = "jump.home.arpa";

async function behindJump(scenario: Scenario, host: string, config: readonly string[]): Promise<void> {
  await trusted(scenario, jump, { config, more: [`IdentityFile ${key(scenario)}`] });
  await trusted(scenario, host, { more: [`ProxyJump ${jump}`] });
}

suite.step("a machine {string} behind a jump host that forbids it", async function (host: string) {
  await behindJump(this, host, ["AllowTcpForwarding no"]);
});

suite.step("a machine {string} behind a jump host", async function (host: string) {
  await behindJump(this, host, []);
});

suite.step("a machine {string} and no program ssh here", function (host: string) {
  sshHome(this).addHost(host, nextPort(this));
  const empty = join(this.world.root, "empty");
  Deno.mkdirSync(empty);
  this.env.PATH = empty;
});

suite.step("an agent holds this person's key, and its file is {word}", async function (state: string) {
  const agent = await sshHome(this).startAgent();
  this.atEnd(async () => await agent[Symbol.asyncDispose]());
  this.env.SSH_AUTH_SOCK = agent.socket;
  if (state === "locked") sshHome(this).lockKey();
  else Deno.removeSync(key(this));
});

suite.step("{string} let this person in once", function (host: string) {
  const sshd = must(this.noted.get(`sshd of ${host}`), host) as Sshd;
  assert.equal(sshd.logins(), 1, host);
});
