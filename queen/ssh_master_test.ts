import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { exists } from "../runtime/files.ts";
import { canRunSshd, me, startSshd } from "../tests/support/sshd.ts";
import { claimPorts } from "../tests/support/ports.ts";
import { newTemporaryFolder, removeFolder } from "../tests/support/temporary.ts";
import { eventually } from "../tests/support/eventually.ts";
import { type MasterOptions, SshMaster } from "./ssh_master.ts";

const name = (claim: string) =>
  canRunSshd() ? claim : `${claim} (needs sshd: apt-get install openssh-server, then deno task test queen)`;
const relaxed = { sanitizeResources: false, sanitizeOps: false };

function run(exe: string, ...args: string[]): string {
  return new TextDecoder().decode(new Deno.Command(exe, { args }).outputSync().stdout);
}

/** A folder with a key, an sshd that takes it, and an `ssh` in PATH with a configuration of its own. */
async function withSshd(
  use: (at: { options: MasterOptions; kill: () => Promise<void>; root: string }) => Promise<void>,
) {
  const root = newTemporaryFolder();
  using ports = claimPorts();
  const port = ports.hive + 1;
  const path = Deno.env.get("PATH")!;
  try {
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${root}/key`);
    const sshd = await startSshd({ folder: `${root}/sshd`, port, authorizedKeys: `${root}/key.pub` });
    Deno.mkdirSync(`${root}/bin`);
    const ssh = `#!/bin/sh\nexec /usr/bin/ssh -F '${root}/config' "$@"\n`;
    Deno.writeTextFileSync(`${root}/bin/ssh`, ssh, { mode: 0o755 });
    Deno.writeTextFileSync(`${root}/config`, `UserKnownHostsFile ${root}/known\nIdentityAgent none\n`);
    Deno.writeTextFileSync(`${root}/known`, `[127.0.0.1]:${port} ${sshd.hostKey}\n`);
    Deno.env.set("PATH", `${root}/bin:${path}`);
    const target = { host: "127.0.0.1", user: me(), port, keyPath: `${root}/key` };
    const options = { node: "box", target, folder: `${root}/s/12345678`, connectMs: 10_000 };
    await use({ options, kill: async () => await sshd[Symbol.asyncDispose](), root });
    await sshd[Symbol.asyncDispose]();
  } finally {
    Deno.env.set("PATH", path);
    removeFolder(root);
  }
}

Deno.test({
  ...relaxed,
  name: name("one connection carries commands and forwards, and leaves nothing"),
  ignore: !canRunSshd(),
  fn: () =>
    withSshd(async ({ options, root }) => {
      const served: string[] = [];
      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
        served.push(new URL(request.url).pathname);
        return new Response("from the node");
      });
      const master = await SshMaster.open(options);
      const { code, stdout, stderr } = await master.run("cat; echo to-stderr >&2; exit 7", { input: "hello" });
      assert.deepEqual({ code, stdout, stderr }, { code: 7, stdout: "hello", stderr: "to-stderr\n" });
      const [one, same] = await Promise.all([master.forward(server.addr.port), master.forward(server.addr.port)]);
      assert.equal(one, same, "a forward is made once");
      const answer = await fetch(`http://127.0.0.1:${server.addr.port}/over-ssh`, { client: one.client });
      assert.equal(await answer.text(), "from the node");
      assert.deepEqual(served, ["/over-ssh"]);
      const socket = `${options.folder}/${server.addr.port}`;
      assert.equal(Deno.statSync(socket).mode! & 0o777, 0o600, "the socket is ours alone");
      assert.equal(Deno.statSync(options.folder).mode! & 0o777, 0o700);
      await master.close();
      assert.equal(master.isUp, false);
      assert.throws(() => Deno.statSync(options.folder), Deno.errors.NotFound);
      await assert.rejects(master.run("true"), (error: RbeeError) => error.code === "CONNECTION_LOST");
      assert.equal(run("pgrep", "-f", root).trim().split("\n").length, 1, "only the sshd is left");
      await server.shutdown();
    }),
});

Deno.test({
  ...relaxed,
  name: name("a connection that is killed is noticed at once, and a command then fails instead of connecting anew"),
  ignore: !canRunSshd(),
  fn: () =>
    withSshd(async ({ options }) => {
      const master = await SshMaster.open(options);
      const long = master.run("sleep 30");
      long.catch(() => {});
      const pid = Number(run("pgrep", "-f", `ControlMaster=yes.*${options.folder}`).trim().split("\n")[0]);
      Deno.kill(pid, "SIGKILL");
      const error = await master.ended;
      assert.equal(error.code, "CONNECTION_LOST");
      assert.equal(error.details.node, "box");
      await assert.rejects(long, (thrown: RbeeError) => thrown.code === "CONNECTION_LOST");
    }),
});

Deno.test({
  ...relaxed,
  name: name("a port that nobody listens on breaks its requests, not the connection"),
  ignore: !canRunSshd(),
  fn: () =>
    withSshd(async ({ options }) => {
      const master = await SshMaster.open(options);
      const { client } = await master.forward(1);
      await assert.rejects(fetch("http://127.0.0.1:1/", { client }));
      assert.equal(master.forwardingFailure, undefined);
      assert.equal((await master.run("echo on")).stdout, "on\n");
      await master.close();
    }),
});

Deno.test({
  ...relaxed,
  name: name("a stale socket in its place does no harm; a key that is missing or rejected has its own code"),
  ignore: !canRunSshd(),
  fn: () =>
    withSshd(async ({ options, root }) => {
      Deno.mkdirSync(options.folder, { recursive: true });
      Deno.writeTextFileSync(`${options.folder}/m`, "");
      const master = await SshMaster.open(options);
      assert.equal((await master.run("echo on")).stdout, "on\n");
      await master.close();
      const missing = { ...options, target: { ...options.target, keyPath: `${root}/nowhere` } };
      await assert.rejects(SshMaster.open(missing), (error: RbeeError) => error.code === "SSH_KEY_NOT_FOUND");
      Deno.writeTextFileSync(`${root}/key.pub`, "");
      await assert.rejects(SshMaster.open(options), (error: RbeeError) => error.code === "SSH_AUTH_FAILED");
      await eventually(() => !exists(options.folder), { withinMs: 1_000, what: "no socket is left" });
    }),
});
