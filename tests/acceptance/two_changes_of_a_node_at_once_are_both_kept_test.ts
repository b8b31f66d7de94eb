import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { inWorld } from "../support/flows.ts";
import { canRunSshd, me, SshHome } from "../support/sshd.ts";
import { executables, World } from "../support/world.ts";

const host = "workstation.home.arpa";
/** A login there takes a while: long enough for another change to come and go. */
const slowly = `ForceCommand sleep 2; exec sh -c "$SSH_ORIGINAL_COMMAND"`;

/** Runs a test with a queen to whom one machine is registered, which is slow to log in to. */
function withSlowNode(test: (world: World, ssh: SshHome) => Promise<void>): Promise<void> {
  return inWorld(async (world) => {
    const ssh = new SshHome(world);
    await using _sshd = await ssh.startHost(world, host, [slowly]);
    world.configure({ queen: { use_local: false } });
    await world.startQueen({ PATH: `${ssh.bin}:${executables}:/usr/bin:/bin` });
    const ssh_key_path = join(ssh.folder, "id_ed25519");
    const added = await change(world, "add", { ssh_host: host, ssh_user: me(), ssh_key_path, install_path: "/opt/a" });
    assert.equal(added.status, 200, added.text);
    await test(world, ssh);
  }, () => new World());
}

const change = (world: World, verb: string, fields: Record<string, unknown>) =>
  world.call({ who: "queen" }, `POST /v2/registry/beehives/${verb}`, { body: { node_name: "workstation", ...fields } });

async function row(world: World) {
  const { json } = await world.call({ who: "queen" }, "GET /v2/registry/beehives/list");
  return (json.nodes as unknown as Record<string, unknown>[])[0];
}

const options = { ignore: !canRunSshd() };

Deno.test(
  "a change that comes while another one is logging in is kept by it",
  options,
  () =>
    withSlowNode(async (world, ssh) => {
      const slow = change(world, "update", { install_path: "/opt/b" });
      await eventually(() => ssh.calls.length === 2, { withinMs: 5_000, what: "the change logs in", everyMs: 10 });
      const quick = await change(world, "update", { hive_port: 9321 });
      assert.equal(quick.status, 200, quick.text);
      assert.equal((await slow).status, 200);
      const { install_path, hive_port } = await row(world);
      assert.deepEqual([install_path, hive_port], ["/opt/b", 9321]);
    }),
);

Deno.test(
  "of two changes of one address at once, one is made and the other one is told",
  options,
  () =>
    withSlowNode(async (world) => {
      const paths = ["/opt/b", "/opt/c"];
      const answers = await Promise.all(paths.map((install_path) => change(world, "update", { install_path })));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 503]);
      assert.match(answers.map(({ text }) => text).join(), /TEMPORARY_UNAVAILABLE.*at the same time/);
      assert.equal((await row(world)).install_path, paths[answers.findIndex(({ status }) => status === 200)]);
    }),
);
