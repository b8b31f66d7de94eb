/**
 * The registry under SIGKILL: clients change nodes over HTTP as fast as they are answered, the queen is killed at a
 * moment that chance chooses, and her file is compared with what she had acknowledged.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Beehive } from "../../protocol/node.ts";
import { registryMigrations } from "../../queen/migrations.ts";
import { NodeRegistry } from "../../queen/nodes.ts";
import { openDatabase } from "../../runtime/database.ts";
import { join } from "../../runtime/path.ts";
import type { SeededRandom } from "../sim/seeded_random.ts";
import { eventually, pause } from "./eventually.ts";
import { me, SshHome, startSshd } from "./sshd.ts";
import { executables, type World } from "./world.ts";

/** What a client says about a node, and what must be found of it. */
const said = [
  ...(["ssh_host", "ssh_user", "ssh_key_path", "install_path", "git_branch"] as const),
  ...(["hive_port", "worker_port_start"] as const),
] as const;
type Said = Readonly<Pick<Beehive, typeof said[number]>>;

/** What clients know of a registry: what was acknowledged, and what was asked when the queen was killed. */
export interface RegistrySetUp {
  readonly world: World;
  readonly ssh: SshHome;
  /** By name; absent is removed, or never added. */
  readonly acknowledged: Map<string, Said>;
  /** Asked and not answered: undefined asks for removal. */
  readonly open: Map<string, Said | undefined>;
}

/** What one kill gave. */
export interface RegistryKill {
  /** `performance.now()` */
  readonly killedAt: number;
  /** Changes that were acknowledged before. */
  readonly acknowledged: number;
  /** Changes that were asked and not answered. */
  readonly open: number;
}

const clients = 4;
const namesOfEach = 3;
const host = "workstation.home.arpa";
/** She is killed after so many acknowledged changes at most, in the middle of what comes next. */
const changesMax = 24;
/** A change with a login takes about as long. */
const changeMs = 250;
/** A start takes about as long. */
const startMs = 300;
/** One kill in so many falls into the start. */
const startShare = 1 / 8;

/** Returns a world's registry with nothing in it yet, and a person who can log in to one machine. */
export function registrySetUp(world: World): RegistrySetUp {
  const ssh = new SshHome(world);
  ssh.addHost(host, sshdPort(world));
  return { world, ssh, acknowledged: new Map(), open: new Map() };
}

const sshdPort = (world: World) => world.ports.hive + 1;

/** Starts a queen, lets clients change her registry, kills her, and compares. Throws what is not as promised. */
export async function registryKill(setUp: RegistrySetUp, chance: SeededRandom): Promise<RegistryKill> {
  const { world, ssh, open } = setUp;
  // A queen without a hive starts and dies quicker; the registry is the same.
  world.configure({ queen: { use_local: false } });
  try {
    await using sshd = await startSshd({
      folder: join(world.root, "sshd"),
      port: sshdPort(world),
      authorizedKeys: join(ssh.folder, "id_ed25519.pub"),
      // All nodes are this one machine: besides the clients' logins come the queen's own connections to each node.
      config: ["MaxStartups 100"],
    });
    ssh.trust(sshd.port, sshd.hostKey);
    const env = { PATH: `${ssh.bin}:${executables}:/usr/bin:/bin` };
    const killed = chance.chance(startShare)
      ? await killWhileStarting(world, { env, afterMs: chance.between(0, startMs) })
      : await killWhileBusy(setUp, { env, chance });
    const counts = { ...killed, open: open.size };
    await compare(setUp);
    return counts;
  } finally {
    world.configure({ queen: { use_local: true } });
  }
}

async function killWhileStarting(world: World, { env, afterMs }: { env: Record<string, string>; afterMs: number }) {
  const queen = world.start("queen-rbee", ["daemon"], { env });
  await pause(afterMs);
  const killedAt = performance.now();
  queen.signal("SIGKILL");
  await queen.ends(5_000);
  return { killedAt, acknowledged: 0 };
}

async function killWhileBusy(
  setUp: RegistrySetUp,
  { env, chance }: { env: Record<string, string>; chance: SeededRandom },
) {
  const queen = await setUp.world.startQueen(env);
  const counts = Array<number>(clients).fill(0);
  const acknowledged = () => counts.reduce((sum, count) => sum + count, 0);
  const running = Promise.all(counts.map((_none, number) => {
    return client(setUp, { number, chance, onAcknowledged: () => counts[number]++ });
  }));
  const enough = chance.between(0, changesMax);
  await Promise.race([
    running.then(() => assert.fail("the queen went before she was killed")),
    eventually(() => acknowledged() >= enough, { withinMs: 20_000, what: `${enough} changes`, everyMs: 5 }),
  ]);
  await pause(chance.between(0, changeMs));
  const killedAt = performance.now();
  assert.ok(queen.signal("SIGKILL"), "she was there to be killed");
  await queen.ends(5_000);
  await running;
  return { killedAt, acknowledged: acknowledged() };
}

interface ClientOptions {
  readonly number: number;
  readonly chance: SeededRandom;
  readonly onAcknowledged: () => void;
}

/** Changes nodes of its own until the queen is gone. */
async function client(setUp: RegistrySetUp, { number, chance, onAcknowledged }: ClientOptions): Promise<void> {
  const { world, acknowledged, open } = setUp;
  for (;;) {
    const name = `node-${number}-${chance.between(1, namesOfEach)}`;
    const before = acknowledged.get(name);
    const after = before && chance.chance(0.2) ? undefined : changed(setUp, { before, chance });
    open.set(name, after);
    const [verb, body] = after === undefined
      ? ["remove", { node_name: name }]
      : [before ? "update" : "add", { node_name: name, ...after }];
    let response: Response;
    try {
      response = await world.open({ who: "queen" }, `POST /v2/registry/beehives/${verb}`, { body });
    } catch {
      return; // she is gone
    }
    // The first line says it: the change counts from here on, also when the rest does not come.
    const text = await response.text().catch(() => "");
    assert.equal(response.status, 200, `${verb} ${name}: ${text}`);
    open.delete(name);
    if (after === undefined) acknowledged.delete(name);
    else acknowledged.set(name, after);
    onAcknowledged();
  }
}

function changed(setUp: RegistrySetUp, { before, chance }: { before?: Said; chance: SeededRandom }): Said {
  const fresh = {
    git_branch: `branch-${chance.between(1, 1_000_000)}`,
    hive_port: chance.between(1, 65_535),
    worker_port_start: chance.between(1, 8_999),
  };
  // Some changes take a login as well: what `~` is there may be another folder then.
  if (before && chance.chance(0.9)) return { ...before, ...fresh };
  return {
    ...{ ssh_host: host, ssh_user: me(), ssh_key_path: join(setUp.ssh.folder, "id_ed25519") },
    ...{ install_path: `/opt/rbee-${chance.between(1, 1_000_000)}`, ...fresh },
  };
}

/** Compares the file with what clients know, and takes over what became of the changes that were not answered. */
async function compare({ world, acknowledged, open }: RegistrySetUp): Promise<void> {
  const options = { path: join(world.home, "beehives.db"), migrations: registryMigrations };
  // A child that she was just starting holds her lock until it is a program of its own.
  using database = await eventually(
    () => openDatabase({ ...options, synchronous: "full", owner: "another queen" }),
    { withinMs: 1_000, what: "the killed queen's lock is free" },
  );
  assert.equal(database.movedAside, undefined, "the file is sound");
  assert.deepEqual({ ...database.db.prepare("pragma integrity_check").get() }, { integrity_check: "ok" });
  const rows = new Map(new NodeRegistry(database).beehives().map((row) => [row.node_name, row]));
  for (const name of rows.keys()) assert.ok(acknowledged.has(name) || open.has(name), `nobody asked for ${name}`);
  for (const name of new Set([...acknowledged.keys(), ...open.keys()])) {
    const row = rows.get(name);
    const found = row && saidOf(row);
    const told = acknowledged.get(name);
    if (open.has(name) && isEqual(found, open.get(name))) {
      if (found) acknowledged.set(name, found);
      else acknowledged.delete(name);
    } else assert.deepEqual(found, told, `${name} is as it was acknowledged`);
    if (row) assert.ok(row.status === "reachable" && row.last_connected_unix !== null, `${name} was reached`);
  }
  open.clear();
}

function saidOf(row: Beehive): Said {
  return Object.fromEntries(said.map((key) => [key, row[key]])) as unknown as Said;
}

function isEqual(one: Said | undefined, other: Said | undefined): boolean {
  return one === undefined || other === undefined ? one === other : said.every((key) => one[key] === other[key]);
}
