/**
 * Opens an SQLite file the one way rbee does: one process and one connection under a lock file (SQLite 3.50 has the
 * WAL-reset fault with two), WAL, mode 0600, migrations in order. A damaged file is moved aside, never overwritten.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { RbeeError } from "../protocol/error.ts";
import { isDiskFull } from "./paths.ts";

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
        lock.close(); // the kernel frees the lock with the descriptor
      },
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

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
    return { db: openAndMigrate(options) };
  } catch (error) {
    if (!isDamage(error)) throw error;
    const movedAside = `${options.path}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
    for (const suffix of ["", "-wal", "-shm"]) {
      try {
        Deno.renameSync(options.path + suffix, movedAside + suffix);
      } catch (missing) {
        if (!(missing instanceof Deno.errors.NotFound)) throw missing;
      }
    }
    return { db: openAndMigrate(options), movedAside };
  }
}

/** 11 SQLITE_CORRUPT, 26 SQLITE_NOTADB: https://sqlite.org/rescode.html */
function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: number } | null)?.errcode;
  if (code !== undefined) return (code & 0xff) === 11 || (code & 0xff) === 26;
  // `exec` of node:sqlite in Deno 2.7.11 throws without a code
  return error instanceof Error && /file is not a database|disk image is malformed/.test(error.message);
}

function openAndMigrate(options: DatabaseOptions): DatabaseSync {
  Deno.openSync(options.path, { create: true, write: true, mode: 0o600 }).close(); // SQLite itself would make it 0644
  const db = new DatabaseSync(options.path, { timeout: 5_000 });
  try {
    db.exec(`pragma journal_mode = wal; pragma synchronous = ${options.synchronous}; pragma foreign_keys = on`);
    const check = db.prepare("pragma quick_check(1)").get() as { quick_check?: string } | undefined;
    if (check?.quick_check !== "ok") throw Object.assign(new Error("quick_check failed"), { errcode: 11 });
    migrate(db, options);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function migrate(db: DatabaseSync, options: DatabaseOptions): void {
  const { user_version: seen } = db.prepare("pragma user_version").get() as { user_version: number };
  if (seen > options.migrations.length) {
    throw new RbeeError("DATABASE_NEWER", {
      message: `Cannot open ${options.path}: it has schema ${seen}, this rbee knows ${options.migrations.length}`,
      details: { path: options.path, schema: seen, known: options.migrations.length },
    });
  }
  for (let n = seen; n < options.migrations.length; n++) {
    db.exec(`begin immediate; ${options.migrations[n]}; pragma user_version = ${n + 1}; commit`);
  }
}
