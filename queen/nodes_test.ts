import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { openDatabase } from "../runtime/database.ts";
import { registryMigrations } from "./migrations.ts";
import { openRegistry } from "./nodes.ts";

async function inFolder(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "rbee-nodes-" });
  try {
    await use(`${folder}/beehives.db`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const local = { platform: "linux-x64", installPath: "/opt/rbee" };

Deno.test("this machine always stands in the registry, once, and what is noted of it survives", () =>
  inFolder(async (path) => {
    {
      using registry = await openRegistry(path);
      registry.ensureLocal(local);
      registry.ensureLocal(local);
      registry.noteReachable("local", { unix: 1_728_508_603, hivePort: 9200 });
    }
    using registry = await openRegistry(path);
    registry.ensureLocal(local);
    deepStrictEqual(registry.list().map((row) => ({ ...row })), [{
      node_name: "local",
      transport: "local",
      status: "reachable",
      hive_port: 9200,
      last_connected_unix: 1_728_508_603,
      last_error: null,
    }]);
  }));

Deno.test("a node that cannot be reached keeps the reason until it is reached again", () =>
  inFolder(async (path) => {
    using registry = await openRegistry(path);
    registry.ensureLocal(local);
    registry.noteUnreachable("local", "Cannot start the hive");
    deepStrictEqual([registry.list()[0].status, registry.list()[0].last_error], [
      "unreachable",
      "Cannot start the hive",
    ]);
    registry.noteReachable("local", { unix: 1, hivePort: 9200 });
    deepStrictEqual([registry.list()[0].status, registry.list()[0].last_error], ["reachable", null]);
  }));

Deno.test("a second queen in the same RBEE_HOME is refused", () =>
  inFolder(async (path) => {
    using _first = await openRegistry(path);
    await rejects(openRegistry(path), (error) => error instanceof RbeeError && error.code === "QUEEN_ALREADY_RUNNING");
  }));

Deno.test("the file is its owner's alone", () =>
  inFolder(async (path) => {
    using _registry = await openRegistry(path);
    strictEqual(Deno.statSync(path).mode! & 0o777, 0o600);
  }));

const workstation = {
  ...{ node_name: "workstation", ssh_host: "workstation.home.arpa", ssh_port: 22, ssh_user: "me" },
  ...{ ssh_key_path: null, git_repo_url: null, git_branch: "main", install_path: "/home/me/rbee" },
  ...{ hive_port: 9200, worker_port_start: 8081, worker_port_end: 8999 },
};

Deno.test("a machine is added once, survives the queen, is changed, and is gone when it is removed", () =>
  inFolder(async (path) => {
    {
      using registry = await openRegistry(path);
      registry.ensureLocal(local);
      strictEqual(registry.add(workstation, 1_728_508_603), true);
      strictEqual(registry.add({ ...workstation, ssh_host: "other" }, 1), false);
    }
    using registry = await openRegistry(path);
    const saved = { status: "reachable", last_connected_unix: 1_728_508_603, last_error: null };
    deepStrictEqual(registry.beehives().map((row) => ({ ...row })), [{
      ...workstation,
      ...saved,
      transport: "ssh",
      platform: null,
    }]);
    registry.update({ ...registry.beehive("workstation")!, hive_port: 9300 });
    strictEqual(registry.beehive("workstation")?.hive_port, 9300);
    strictEqual(registry.remove("workstation"), true);
    strictEqual(registry.remove("workstation"), false);
    strictEqual(registry.remove("local"), false);
    strictEqual(registry.has("local"), true);
  }));

Deno.test("a registry of the first schema is brought up to date with its rows kept", () =>
  inFolder(async (path) => {
    using old = await openDatabase({
      path,
      migrations: registryMigrations.slice(0, 1),
      synchronous: "full",
      owner: "another queen",
    });
    old.db.exec("insert into beehives (node_name, ssh_host, ssh_user, install_path) values ('pc', 'h', 'me', '/r')");
    old[Symbol.dispose]();
    using registry = await openRegistry(path);
    strictEqual(registry.beehive("pc")?.worker_port_start, null);
  }));
