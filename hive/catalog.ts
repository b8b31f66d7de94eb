/**
 * Models that this machine has on disk: the queries on `models.db`, and nothing else.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type * as z from "zod";
import { type ModelRecord, modelRecord } from "../protocol/model.ts";
import { type Database, openDatabase } from "../runtime/database.ts";
import { catalogMigrations } from "./migrations.ts";

/** What a model is known by, besides the id that the catalog gives it. */
export type CatalogEntry = Omit<z.input<typeof modelRecord>, "id">;

/** The catalog; disposing closes it. */
export class Catalog implements Disposable {
  readonly #database: Database;
  readonly #db: DatabaseSync;

  constructor(database: Database) {
    this.#database = database;
    this.#db = database.db;
  }

  /** Where a damaged catalog was moved when this one was opened. */
  get movedAside(): string | undefined {
    return this.#database.movedAside;
  }

  /** Returns the model of that reference; undefined when it is not known. */
  find(provider: string, reference: string): ModelRecord | undefined {
    const row = this.#db.prepare("select * from models where provider = ? and reference = ?").get(provider, reference);
    return row === undefined ? undefined : modelRecord.parse(row);
  }

  /** Returns all models, those that came last first. */
  list(): ModelRecord[] {
    const rows = this.#db.prepare("select * from models order by downloaded_at_unix desc, id").all();
    return rows.map((row) => modelRecord.parse(row));
  }

  /** Adds a model, or brings its row up to date. Returns the row. */
  put(entry: CatalogEntry): ModelRecord {
    const id = this.find(entry.provider, entry.reference)?.id ?? this.#freeId(entry);
    this.#db.prepare(
      `insert into models (id, provider, reference, local_path, size_bytes, downloaded_at_unix)
       values (?, ?, ?, ?, ?, ?)
       on conflict (provider, reference) do update set
         local_path = excluded.local_path, size_bytes = excluded.size_bytes,
         downloaded_at_unix = excluded.downloaded_at_unix`,
    ).run(id, entry.provider, entry.reference, entry.local_path, entry.size_bytes, entry.downloaded_at_unix);
    return modelRecord.parse({ id, ...entry });
  }

  /** Forgets a model; its file stays. */
  remove(provider: string, reference: string): void {
    this.#db.prepare("delete from models where provider = ? and reference = ?").run(provider, reference);
  }

  /** Two files of one name in two folders are two models: the second gets a piece of its reference's digest. */
  #freeId(entry: CatalogEntry): string {
    const name = entry.local_path.split("/").at(-1)?.replace(/\.gguf$/, "") || entry.provider;
    const taken = this.#db.prepare("select 1 from models where id = ?").get(name) !== undefined;
    if (!taken) return name;
    return `${name}-${createHash("sha256").update(`${entry.provider}:${entry.reference}`).digest("hex").slice(0, 8)}`;
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}

/** Opens the catalog. Throws `CATALOG_UNAVAILABLE` while another hive of the same home has it open. */
export async function openCatalog(path: string): Promise<Catalog> {
  return new Catalog(
    await openDatabase({
      path,
      migrations: catalogMigrations,
      synchronous: "normal",
      owner: "another hive",
      lockedCode: "CATALOG_UNAVAILABLE",
    }),
  );
}
