/**
 * The node registry: SQLite queries, nothing else. One process has it open; its lock is what makes a second queen in
 * the same RBEE_HOME impossible.
 *
 * @module
 */
import {
  backendsOf,
  type Beehive,
  type DirectNode,
  localNodeName,
  type Machine,
  type NewBeehive,
  type NewDirectNode,
  type Node,
} from "../protocol/node.ts";
import { type Database, openDatabase } from "../runtime/database.ts";
import { registryMigrations } from "./migrations.ts";

const beehiveColumns =
  "node_name, transport, status, hive_port, last_connected_unix, last_error, ssh_host, ssh_port, " +
  "ssh_user, ssh_key_path, git_repo_url, git_branch, install_path, platform, worker_port_start, worker_port_end";

const saidColumns = [
  "ssh_host",
  "ssh_port",
  "ssh_user",
  "ssh_key_path",
  "git_repo_url",
  "git_branch",
  "install_path",
  "hive_port",
  "worker_port_start",
  "worker_port_end",
] as const;

const directColumns =
  "node_name, transport, status, hive_port, last_connected_unix, last_error, address, token_file, " +
  "ca_cert_file, plaintext";

const directSaid = ["address", "token_file", "ca_cert_file", "plaintext", "hive_port"] as const;

/** The open registry. */
export class NodeRegistry implements Disposable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Where a damaged file went, when there was one. */
  get movedAside(): string | undefined {
    return this.#database.movedAside;
  }

  /** Returns all nodes by name. */
  list(): Node[] {
    const columns = "node_name, transport, status, hive_port, last_connected_unix, last_error";
    return this.#database.db.prepare(`select ${columns} from beehives order by node_name`).all() as unknown as Node[];
  }

  /** Returns the machines that are reached by SSH, by name. */
  beehives(): Beehive[] {
    return this.#database.db.prepare(
      `select ${beehiveColumns} from beehives where transport = 'ssh' order by node_name`,
    ).all() as unknown as Beehive[];
  }

  /** Returns one of them. */
  beehive(name: string): Beehive | undefined {
    return this.beehives().find((row) => row.node_name === name);
  }

  /** Returns the machines whose hives are called directly, by name. */
  directNodes(): DirectNode[] {
    const rows = this.#database.db.prepare(
      `select ${directColumns} from beehives where transport = 'direct' order by node_name`,
    ).all() as unknown as (Omit<DirectNode, "plaintext"> & { plaintext: number })[];
    return rows.map((row) => ({ ...row, plaintext: row.plaintext === 1 }));
  }

  /** Returns one of them. */
  directNode(name: string): DirectNode | undefined {
    return this.directNodes().find((row) => row.node_name === name);
  }

  /** Whether a name is taken, by whatever machine. */
  has(name: string): boolean {
    return this.list().some((row) => row.node_name === name);
  }

  /** Saves a machine that was reached just now; durable when this returns. Returns false when the name is taken. */
  add(row: NewBeehive, unix: number): boolean {
    const { changes } = this.#database.db.prepare(
      `insert into beehives (node_name, ${saidColumns.join(", ")}, transport, status, last_connected_unix)
       values (?, ${saidColumns.map(() => "?").join(", ")}, 'ssh', 'reachable', ?)
       on conflict (node_name) do nothing`,
    ).run(row.node_name, ...saidColumns.map((column) => row[column]), unix);
    return Number(changes) === 1;
  }

  /** Like `add`, for a machine whose hive is called directly. */
  addDirect(row: NewDirectNode, unix: number): boolean {
    const { changes } = this.#database.db.prepare(
      `insert into beehives
         (node_name, ${directSaid.join(", ")}, ssh_host, ssh_user, install_path, transport, status, last_connected_unix)
       values (?, ${directSaid.map(() => "?").join(", ")}, '', '', '', 'direct', 'reachable', ?)
       on conflict (node_name) do nothing`,
    ).run(row.node_name, ...directValues(row), unix);
    return Number(changes) === 1;
  }

  /** Like `update`, for a machine whose hive is called directly. Returns false when it is not there. */
  updateDirect(row: DirectNode): boolean {
    const { changes } = this.#database.db.prepare(
      `update beehives set ${directSaid.map((column) => `${column} = ?`).join(", ")}
       where node_name = ? and transport = 'direct'`,
    ).run(...directValues(row), row.node_name);
    return Number(changes) === 1;
  }

  /**
   * Replaces what was said about a machine, and notes that it was reached when it was; durable when this returns, and
   * one statement: there is no moment at which half of it is.
   */
  update(row: Beehive, reachedUnix?: number): void {
    this.#database.db.prepare(
      `update beehives set ${saidColumns.map((column) => `${column} = ?`).join(", ")},
       status = iif(? is null, status, 'reachable'), last_error = iif(? is null, last_error, null),
       last_connected_unix = coalesce(?, last_connected_unix) where node_name = ?`,
    ).run(...saidColumns.map((column) => row[column]), ...Array(3).fill(reachedUnix ?? null), row.node_name);
  }

  /** Forgets a machine; durable when this returns. Returns false when it was not there. */
  remove(name: string): boolean {
    const { changes } = this.#database.db.prepare("delete from beehives where node_name = ? and transport <> 'local'")
      .run(name);
    return Number(changes) === 1;
  }

  /** Notes that a login worked. */
  noteLogin(name: string, unix: number): void {
    this.#database.db.prepare(
      "update beehives set status = 'reachable', last_error = null, last_connected_unix = ? where node_name = ?",
    ).run(unix, name);
  }

  /** Notes what a machine is, when rbee was put on it. */
  notePlatform(name: string, platform: string): void {
    this.#database.db.prepare("update beehives set platform = ? where node_name = ?").run(platform, name);
  }

  /** Makes sure that this machine stands in it. */
  ensureLocal(local: { platform: string; installPath: string }): void {
    this.#database.db.prepare(
      `insert into beehives (node_name, transport, platform, ssh_host, ssh_user, install_path)
       values (?, 'local', ?, 'localhost', '', ?)
       on conflict (node_name) do nothing`,
    ).run(localNodeName, local.platform, local.installPath);
  }

  /** Notes that a node's hive answered, and what the machine has. */
  noteReachable(name: string, seen: { unix: number; hivePort: number; machine?: Machine }): void {
    const backends = seen.machine && backendsOf(seen.machine.gpus);
    const names = backends && JSON.stringify(backends.map((b) => b.name));
    const devices = backends && JSON.stringify(Object.fromEntries(backends.map((b) => [b.name, b.devices])));
    this.#database.db.prepare(
      `update beehives set status = 'reachable', last_error = null, last_connected_unix = ?,
       hive_port = case when transport = 'local' then ? else hive_port end, platform = coalesce(?, platform),
       backends = coalesce(?, backends), devices = coalesce(?, devices) where node_name = ?`,
    ).run(seen.unix, seen.hivePort, seen.machine?.platform ?? null, names ?? null, devices ?? null, name);
  }

  /** Notes that a machine could be reached and its hive not be had, and why. */
  noteWithoutHive(name: string, error: string): void {
    this.#database.db.prepare("update beehives set status = 'reachable', last_error = ? where node_name = ?")
      .run(error, name);
  }

  /** Notes why a node could not be reached. */
  noteUnreachable(name: string, error: string): void {
    this.#database.db.prepare("update beehives set status = 'unreachable', last_error = ? where node_name = ?")
      .run(error, name);
  }

  /** Closes the file and frees its lock. */
  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}

function directValues(row: NewDirectNode | DirectNode): (string | number | null)[] {
  return directSaid.map((column) => column === "plaintext" ? Number(row.plaintext) : row[column]);
}

/** Opens the registry. Throws `QUEEN_ALREADY_RUNNING` while another queen has it open, and what `openDatabase` throws. */
export async function openRegistry(path: string): Promise<NodeRegistry> {
  return new NodeRegistry(
    await openDatabase({
      path,
      migrations: registryMigrations,
      synchronous: "full",
      owner: "another queen",
      lockedCode: "QUEEN_ALREADY_RUNNING",
    }),
  );
}
