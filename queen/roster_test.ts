import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import type { Beehive, DirectNode } from "../protocol/node.ts";
import { Roster, targetOf } from "./roster.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";
import { noLog } from "./testdata/stand_in.ts";

const beehive: Beehive = {
  ...{ node_name: "box", transport: "ssh", status: "reachable", last_connected_unix: null, last_error: null },
  ...{ ssh_host: "box.home.arpa", ssh_port: 22, ssh_user: "me", ssh_key_path: null, platform: null },
  ...{ git_repo_url: null, git_branch: null, install_path: "/home/me/rbee", hive_port: 9200 },
  ...{ worker_port_start: 8081, worker_port_end: 8999 },
};
const direct: DirectNode = {
  ...{ node_name: "fast", transport: "direct", status: "reachable", last_error: null, last_connected_unix: null },
  ...{ address: "127.0.0.1", token_file: "/nowhere", ca_cert_file: null, plaintext: true, hive_port: 1 },
};

function rosterIn(home: string, binaryPath?: string) {
  const events: SchedulerEvent[] = [];
  const holder = { id: "queen-1", hostname: "here" };
  const onEvent = (event: SchedulerEvent) => void events.push(event);
  return { events, roster: new Roster({ home, holder, log: noLog, onEvent, binaryPath, connectMs: 1_000 }) };
}

async function inHome(use: (home: string) => Promise<void> | void): Promise<void> {
  const home = Deno.makeTempDirSync({ prefix: "rbee-roster-" });
  try {
    await use(home);
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

Deno.test("a machine that is added is a node, one that is removed is none any more, and both are told", () =>
  inHome(async (home) => {
    const { events, roster } = rosterIn(home);
    roster.add(beehive);
    roster.add(direct);
    assert.deepEqual(roster.names(), ["box", "fast"]);
    assert.ok(roster.get("box") && roster.link("box"));
    await roster.renew("box", () => ({ ...beehive, hive_port: 9300 }));
    await roster.renew("box", () => undefined);
    await roster.renew("box", () => undefined);
    assert.equal(roster.get("box"), undefined);
    const told = events.map((event) => [event.type, "node" in event ? event.node : ""]);
    assert.deepEqual(told, [
      ["nodeAdded", "box"],
      ["nodeAdded", "fast"],
      ["nodeRemoved", "box"],
      ["nodeAdded", "box"],
      ["nodeRemoved", "box"],
    ]);
    await roster.endAll();
  }));

Deno.test("changes of one node at the same moment leave what the registry says, and one of each", () =>
  inHome(async (home) => {
    const { events, roster } = rosterIn(home);
    roster.add(beehive);
    let now: Beehive | undefined = beehive;
    const change = (next: Beehive | undefined) => {
      now = next;
      return roster.renew("box", () => now);
    };
    const ports = [9300, 9301, undefined, 9302, 9303];
    await Promise.all(ports.map((hive_port) => change(hive_port ? { ...beehive, hive_port } : undefined)));
    const types = events.map((event) => event.type);
    types.forEach((type, index) => assert.equal(type, index % 2 ? "nodeRemoved" : "nodeAdded"));
    assert.deepEqual(roster.names(), ["box"]);
    await roster.endAll();
  }));

Deno.test("what is only noted of a node leaves its hive in peace", () =>
  inHome(async (home) => {
    const { events, roster } = rosterIn(home);
    roster.add(beehive);
    await roster.renew("box", () => ({ ...beehive, git_branch: "next", last_error: "was away" }));
    assert.deepEqual(events.map((event) => event.type), ["nodeAdded"]);
    await roster.endAll();
  }));

Deno.test("nothing is done by SSH on a node that is not reached by it", () =>
  inHome((home) => {
    const { roster } = rosterIn(home);
    roster.add(direct);
    for (const node of ["fast", "local", "nowhere"]) {
      assert.throws(() => roster.link(node), (error: RbeeError) => error.code === "NODE_NOT_FOUND", node);
    }
  }));

Deno.test("the hive's executable is the installed one, or the configured one on every node (S57)", () =>
  inHome((home) => {
    assert.equal(rosterIn(home).roster.factsOf(beehive).exe, "/home/me/rbee/current/rbee-hive");
    const there = "/opt/rbee/bin/rbee-hive";
    assert.equal(rosterIn(home, there).roster.factsOf(beehive).exe, there);
  }));

Deno.test("sockets of a queen who was killed are gone when the next one begins", () =>
  inHome((home) => {
    Deno.mkdirSync(`${home}/s/12345678`, { recursive: true });
    Deno.writeTextFileSync(`${home}/s/12345678/m`, "");
    rosterIn(home);
    assert.throws(() => Deno.statSync(`${home}/s`), Deno.errors.NotFound);
  }));

Deno.test("a key that nobody named is left to ssh", () => {
  assert.deepEqual(targetOf(beehive), { host: "box.home.arpa", user: "me", port: 22 });
  assert.equal(targetOf({ ...beehive, ssh_key_path: "/k" }).keyPath, "/k");
});

Deno.test("a machine that cannot be reached from this home is known, and whoever wants to go there is told why", () =>
  inHome(async (home) => {
    const { roster, events } = rosterIn(`${home}/${"x".repeat(60)}`);
    const tooLong = (error: RbeeError) => error.code === "RBEE_HOME_TOO_LONG";
    assert.throws(() => roster.check({}), tooLong);
    roster.check({ transport: "direct" });
    roster.add(beehive);
    roster.add(direct);
    assert.deepEqual(roster.names(), ["box", "fast"]);
    const said: string[] = [];
    await assert.rejects(roster.shell("box", (line) => said.push(line)), tooLong);
    await roster.get("box")?.ensure();
    const failed = events.find((event) => event.type === "hiveFailed");
    assert.equal(failed?.error.code, "RBEE_HOME_TOO_LONG");
    assert.deepEqual(said, [], "no attempt is told");
    await roster.endAll();
  }));
