import assert from "node:assert/strict";
import { registryMigrations } from "../../queen/migrations.ts";
import { openRegistry } from "../../queen/nodes.ts";
import { openDatabase } from "../../runtime/database.ts";
import { join } from "../../runtime/path.ts";
import { VERSION } from "../../runtime/version.ts";
import { assertOneClearError, inWorld } from "../support/flows.ts";
import { executables, World } from "../support/world.ts";

const makeWorld = () => new World();
const pageBytes = 4_096;

/** Returns the path of a registry with so many machines that it has several pages. */
async function filledRegistry(world: World): Promise<string> {
  Deno.mkdirSync(world.home, { mode: 0o700 });
  const path = join(world.home, "beehives.db");
  using registry = await openRegistry(path);
  registry.ensureLocal({ platform: "linux-x64", installPath: "/opt/rbee" });
  for (let n = 0; n < 100; n++) {
    registry.add({
      ...{ node_name: `node-${n}`, ssh_host: "h.home.arpa", ssh_port: 22, ssh_user: "me", ssh_key_path: null },
      ...{ git_repo_url: null, git_branch: "main", install_path: `/home/me/${"x".repeat(100)}` },
      ...{ hive_port: 9200, worker_port_start: 8081, worker_port_end: 8999 },
    }, 1);
  }
  return path;
}

const damages: [what: string, harm: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>][] = [
  ["replaced by garbage", (bytes) => crypto.getRandomValues(new Uint8Array(Math.min(bytes.length, 60_000)))],
  ["cut in the middle", (bytes) => bytes.slice(0, Math.floor(bytes.length / 2) + 100)],
  ["with one page flipped", (bytes) => bytes.map((byte, at) => Math.floor(at / pageBytes) === 2 ? byte ^ 0xff : byte)],
];

for (const [what, harm] of damages) {
  Deno.test(`a registry ${what} is kept beside a new one, and whoever starts the queen is told where`, () =>
    inWorld(async (world) => {
      const path = await filledRegistry(world);
      const damaged = harm(Deno.readFileSync(path));
      Deno.writeFileSync(path, damaged);
      const first = await world.run("rbee", ["setup", "list-nodes"]);
      assert.equal(first.code, 0, first.stderr);
      assert.match(first.stdout, /No nodes are registered/);
      const aside = first.stderr.match(/damaged: it was moved to (\S+beehives\.db\.damaged-[\w-]+),/)?.[1];
      assert.ok(aside, first.stderr);
      assert.deepEqual(Deno.readFileSync(aside), damaged);
      const doctor = await world.run("rbee", ["doctor"]);
      assert.ok(doctor.stdout.includes(`⚠ node registry: it was damaged and lies in ${aside}`), doctor.stdout);
      const second = await world.run("rbee", ["setup", "list-nodes"]);
      assert.doesNotMatch(second.stderr, /damaged/, "the new registry is sound");
    }, makeWorld));
}

Deno.test("a queen that stays tells of it as long as she runs", () =>
  inWorld(async (world) => {
    Deno.writeTextFileSync(await filledRegistry(world), "not a database ".repeat(1_000));
    for (const words of ["up", "status", "setup list-nodes"]) {
      const { code, stderr } = await world.run("rbee", words.split(" "));
      assert.equal(code, 0, stderr);
      assert.match(stderr, /⚠️ The node registry was damaged: it was moved to \S+beehives\.db\.damaged-/, words);
    }
    const { json } = await world.call({ who: "queen" }, "GET /v2/info");
    assert.match(String(json.moved_aside), /beehives\.db\.damaged-/);
    await world.run("rbee", ["down"]);
    await world.nothingLeft(10_000);
  }, makeWorld));

for (const [what, needed] of [["that says which", "7.8.9"], ["that does not say which", undefined]] as const) {
  Deno.test(`a registry of a newer rbee ${what} is refused with the version that is needed, and left alone`, () =>
    inWorld(async (world) => {
      const path = await filledRegistry(world);
      {
        using opened = await openDatabase({ path, migrations: registryMigrations, synchronous: "full", owner: "x" });
        if (needed) opened.db.prepare("insert into schema_history values (999, ?)").run(needed);
        opened.db.exec("pragma user_version = 999");
      }
      const before = Deno.readFileSync(path);
      const says = needed
        ? /it needs rbee 7\.8\.9 or newer, this is/
        : new RegExp(`it needs rbee newer than ${VERSION}`);
      for (const words of ["setup list-nodes", "up"]) {
        assertOneClearError(await world.run("rbee", words.split(" ")), { code: "DATABASE_NEWER", says });
      }
      const env = { PATH: `${executables}:/usr/bin:/bin` };
      const byHand = await world.run("queen-rbee", ["daemon"], { env });
      assert.equal(byHand.code, 1, byHand.stderr);
      assert.match(byHand.stderr, says);
      assert.deepEqual(Deno.readFileSync(path), before);
      await world.nothingLeft(5_000);
    }, makeWorld));
}
