/**
 * The node registry: SQLite queries, nothing else. One process has it open; its lock is what makes a second queen in
 * the same RBEE_HOME impossible.
 *
 * @module
 */
import { backendsOf, localNodeName, type Machine, type Node } from "../protocol/node.ts";
import { type Database, openDatabase } from "../runtime/database.ts";
import { registryMigrations } from "./migrations.ts";

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
      `update beehives set status = 'reachable', last_error = null, last_connected_unix = ?, hive_port = ?,
       backends = coalesce(?, backends), devices = coalesce(?, devices) where node_name = ?`,
    ).run(seen.unix, seen.hivePort, names ?? null, devices ?? null, name);
  }

  /** Notes why a node's hive could not be had. */
  noteUnreachable(name: string, error: string): void {
    this.#database.db.prepare("update beehives set status = 'unreachable', last_error = ? where node_name = ?")
      .run(error, name);
  }

  /** Closes the file and frees its lock. */
  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
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
