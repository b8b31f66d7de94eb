import assert from "node:assert/strict";
import { runKeeper } from "./testdata/run_keeper.ts";
import { StandInQueen } from "./testdata/stand_in_queen.ts";

const beehive = (node_name: string, more = {}) => ({
  ...{ node_name, transport: "ssh" as const, status: "reachable" as const, hive_port: 9200, platform: "linux-x64" },
  ...{ last_connected_unix: null, last_error: null, ssh_host: "h", ssh_port: 22, ssh_user: "me", ssh_key_path: null },
  ...{ git_repo_url: null, git_branch: null, install_path: "/home/me/rbee" },
  ...{ worker_port_start: 8081, worker_port_end: 8999 },
  ...more,
});

Deno.test("a machine is said to be reached only when its name lets it be", async () => {
  // She has no such routes: what comes before her answer is what is looked at.
  await using queen = new StandInQueen({ beehives: [beehive("a")] });
  const login = ["--ssh-host", "h", "--ssh-user", "me"];
  const says = async (...args: string[]) => {
    const ran = await runKeeper(["setup", ...args], queen);
    assert.match(ran.stderr, /❌ Error: /);
    return ran.stderr.includes("🔌 Testing SSH connection to");
  };
  assert.equal(await says("add-node", "--name", "new", ...login), true);
  assert.equal(await says("add-node", "--name", "a", ...login), false);
  assert.equal(await says("add-node", "--name", "local", ...login), false);
  assert.equal(await says("update-node", "--name", "a", "--ssh-port", "2222"), true);
  assert.equal(await says("update-node", "--name", "nope", "--ssh-port", "2222"), false);
  assert.equal(await says("test-node", "--name", "a"), true);
  assert.equal(await says("test-node", "--name", "nope"), false);
});

Deno.test("show-node tells the platform, and no port that only ssh knows", async () => {
  const nodes = [beehive("a"), beehive("b", { ssh_port: 2222, platform: null })];
  await using queen = new StandInQueen({ beehives: nodes });
  const show = async (name: string) => (await runKeeper(["setup", "show-node", "--name", name], queen)).stdout;
  assert.match(await show("a"), /SSH: me@h, port 22 or what ~\/\.ssh\/config says\n[^]*Platform: linux-x64\n/);
  assert.match(await show("b"), /SSH: me@h, port 2222\n[^]*Platform: not known yet\n/);
  const json = await runKeeper(["setup", "list-nodes", "--json"], queen);
  assert.deepEqual(JSON.parse(json.stdout), { nodes });
  assert.deepEqual(json.stdout.match(/\n/g), ["\n"], "one line, where nobody looks at a terminal");
});
