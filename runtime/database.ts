/**
 * Opens an SQLite file the one way rbee does: one process and one connection under a lock file (SQLite 3.50 has the
 * WAL-reset fault with two), WAL, mode 0600, migrations in order. A damaged file is moved aside as it is, never
 * overwritten. Each file says which rbee brought it to which schema (`schema_history`), so that an older one can say
 * which is needed.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { RbeeError } from "../protocol/error.ts";
import { isDiskFull } from "./paths.ts";
import { VERSION } from "./version.ts";

/** How to open. */
export interface DatabaseOptions {
  path: string;
  /** Ordered SQL, append only: the file's `user_version` says how many of them it has seen. */
  migrations: readonly string[];
  /** `full` where an acknowledged row must survive a power cut. */
  synchronous: "normal" | "full";
  /** What holds the file when the lock is taken: "another hive". */
  owner: string;
  /** What to throw when the lock is taken. */
  lockedCode?: "QUEEN_ALREADY_RUNNING" | "CATALOG_UNAVAILABLE";
}

/** An open database; disposing closes it and frees its lock. */
export interface Database extends Disposable {
  readonly db: DatabaseSync;
  /** Where a damaged file went, when there was one. */
  readonly movedAside?: string;
}

/** Opens and migrates. Throws `DATABASE_NEWER`, `DISK_FULL`, `HOME_NOT_WRITABLE` or the code for a taken lock. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const lock = await takeLock(options);
  try {
    const { db, movedAside } = openOrMoveAside(options);
    return {
      db,
      movedAside,
      [Symbol.dispose]() {
        if (!db.isOpen) return;
        db.close();
        // A child that is just being started holds the same lock until it is its own program: closing is not enough.
        lock.unlockSync();
        lock.close();
      },
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** How long SQLite waits for a lock on the file: only a tool of a person can hold one. */
const busyMs = 5_000;

async function takeLock(options: DatabaseOptions): Promise<Deno.FsFile> {
  const path = `${options.path}.lock`;
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { create: true, write: true, mode: 0o600 });
  } catch (cause) {
    throw new RbeeError(isDiskFull(cause) ? "DISK_FULL" : "HOME_NOT_WRITABLE", {
      message: `Cannot write ${path}`,
      cause,
    });
  }
  if (await file.tryLock(true)) return file;
  file.close();
  throw new RbeeError(options.lockedCode ?? "CATALOG_UNAVAILABLE", {
    message: `Cannot open ${options.path}: ${options.owner} has it open`,
    details: { path: options.path },
  });
}

function openOrMoveAside(options: DatabaseOptions): { db: DatabaseSync; movedAside?: string } {
  try {
    inspect(options.path);
    return { db: openAndMigrate(options) };
  } catch (error) {
    if (!isDamage(error)) throw error;
    const movedAside = `${options.path}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
    for (const suffix of ["", ...companions]) {
      try {
        Deno.renameSync(options.path + suffix, movedAside + suffix);
      } catch (missing) {
        if (!(missing instanceof Deno.errors.NotFound)) throw missing;
      }
    }
    return { db: openAndMigrate(options), movedAside };
  }
}

/** What SQLite keeps beside a file. One that stayed behind would be played into the new file. */
const companions = ["-wal", "-shm", "-journal"];

/**
 * Looks for damage without writing: a connection that may write copies the journal into the file when it closes, and
 * the bytes of a damaged file are to stay as they are. Throws damage, nothing else: opening for good tells the rest.
 */
function inspect(path: string): void {
  if (sizeOf(path) === 0) {
    // SQLite takes an empty file for a new one and deletes its journal, in which there may be rows.
    if (sizeOf(`${path}-wal`) > 0) throw damage("the file is empty, its journal is not");
    return;
  }
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true, timeout: busyMs });
    checkIntegrity(db);
  } catch (error) {
    if (isDamage(error)) throw error;
  } finally {
    db?.close();
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function checkIntegrity(db: DatabaseSync): void {
  const check = db.prepare("pragma integrity_check(1)").get() as { integrity_check?: string } | undefined;
  if (check?.integrity_check !== "ok") throw damage(String(check?.integrity_check));
}

const damage = (what: string) => Object.assign(new Error(what), { errcode: 11 });

/** 11 SQLITE_CORRUPT, 26 SQLITE_NOTADB: https://sqlite.org/rescode.html */
function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: number } | null)?.errcode;
  if (code !== undefined) return (code & 0xff) === 11 || (code & 0xff) === 26;
  // `exec` of node:sqlite in Deno 2.7.11 throws without a code
  return error instanceof Error && /file is not a database|disk image is malformed/.test(error.message);
}

function openAndMigrate(options: DatabaseOptions): DatabaseSync {
  Deno.openSync(options.path, { create: true, write: true, mode: 0o600 }).close(); // SQLite itself would make it 0644
  const db = new DatabaseSync(options.path, { timeout: busyMs });
  try {
    db.exec(`pragma journal_mode = wal; pragma synchronous = ${options.synchronous}; pragma foreign_keys = on`);
    migrate(db, options);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Rows are only added. A file from before this table has none for its first schemas, which every rbee knows. */
const history =
  "create table if not exists schema_history (schema integer primary key, rbee_version text not null) strict";

function migrate(db: DatabaseSync, options: DatabaseOptions): void {
  const { user_version: seen } = db.prepare("pragma user_version").get() as { user_version: number };
  if (seen > options.migrations.length) throw newer(db, seen, options);
  for (let n = seen; n < options.migrations.length; n++) {
    db.exec(`begin immediate; ${history}; ${options.migrations[n]}`);
    db.prepare("insert into schema_history values (?, ?)").run(n + 1, VERSION);
    db.exec(`pragma user_version = ${n + 1}; commit`);
  }
}

function newer(db: DatabaseSync, schema: number, { path, migrations }: DatabaseOptions): RbeeError {
  const needed = versionOf(db, schema);
  return new RbeeError("DATABASE_NEWER", {
    message: `Cannot open ${path}: it needs rbee ${
      needed === undefined ? `newer than ${VERSION}` : `${needed} or newer, this is ${VERSION}`
    }`,
    details: { path, schema, known: migrations.length, needed: needed ?? null },
    hint: `Install ${needed === undefined ? "a newer rbee" : `rbee ${needed} or newer`}; the file stays as it is`,
  });
}

/** Returns the version of the rbee that brought the file to a schema, when it says so. */
function versionOf(db: DatabaseSync, schema: number): string | undefined {
  try {
    const row = db.prepare("select rbee_version from schema_history where schema = ?").get(schema);
    const version = (row as { rbee_version?: unknown } | undefined)?.rbee_version;
    return typeof version === "string" && /^[\w.+-]{1,40}$/.test(version) ? version : undefined;
  } catch {
    return undefined; // no such table: the file does not say
  }
}
