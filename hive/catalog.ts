/**
 * Models that this machine has on disk: the queries on `models.db`, and nothing else.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as z from "zod";
import { limits } from "../protocol/limits.ts";
import { type ModelName, modelRecord, modelShape } from "../protocol/model.ts";
import { type Database, openDatabase } from "../runtime/database.ts";
import { basename } from "../runtime/path.ts";
import { catalogMigrations } from "./migrations.ts";

/** What a model is known by, besides the id that the catalog gives it. */
export type CatalogEntry = Omit<z.input<typeof modelRecord>, "id" | "files">;

/** Schema of one file of a model, as it was when its header was read. */
export const modelFile = z.object({
  /** What it is called, which a link's target may not be: the files of a split model find each other by their names. */
  name: z.string(),
  /** Its real path. */
  path: z.string(),
  size: z.number().int().min(0),
  /** Milliseconds since 1970; with the size it tells whether the file has changed. */
  mtime: z.number(),
  /** `sha256:<hex>`; null when nobody told. */
  digest: z.string().nullable(),
});

/** One file of a model. */
export type ModelFile = z.infer<typeof modelFile>;

const json = z.string().transform((text) => JSON.parse(text) as unknown);

/** Schema of a row as it lies in the file. */
const catalogRow = modelRecord.extend({
  damaged: z.number().transform((n) => n !== 0),
  owned: z.number().transform((n) => n !== 0),
  files: json.pipe(z.array(modelFile)),
  // written by an rbee that knew other things of a model: as good as none
  shape: json.pipe(modelShape).nullable().catch(null),
});

/** A model with what only its own machine needs to know. */
export type CatalogRow = z.output<typeof catalogRow>;

/** A row that is to be entered; what is absent is what a new row has. */
export type NewRow = CatalogEntry & Partial<Pick<CatalogRow, "files" | "shape" | "owned">>;

/** The catalog; disposing closes it. */
export class Catalog implements Disposable {
  readonly #database: Database;
  readonly #db: DatabaseSync;
  /** Told after each change. */
  onChange: () => void = () => {};

  constructor(database: Database) {
    this.#database = database;
    this.#db = database.db;
  }

  /** Where a damaged catalog was moved when this one was opened. */
  get movedAside(): string | undefined {
    return this.#database.movedAside;
  }

  /** Returns the model of that very name; undefined when it is not known. */
  find({ provider, reference, variant = "" }: ModelName): CatalogRow | undefined {
    const query = "select * from models where provider = ? and reference = ? and variant = ?";
    return this.#rows(query, provider, reference, variant)[0];
  }

  /** Returns all variants of a reference, those that came last first. */
  variants(provider: string, reference: string): CatalogRow[] {
    const query = "select * from models where provider = ? and reference = ? order by downloaded_at_unix desc, id";
    return this.#rows(query, provider, reference);
  }

  /** Returns the model of that id; undefined when it is not known. */
  byId(id: string): CatalogRow | undefined {
    return this.#rows("select * from models where id = ?", id)[0];
  }

  /** Returns the models whose first file lies there. */
  byPath(path: string): CatalogRow[] {
    return this.#rows("select * from models where local_path = ?", path);
  }

  /** Returns the models, those that came last first. */
  list(max: number = limits.catalogListMax): CatalogRow[] {
    return this.#rows("select * from models order by downloaded_at_unix desc, id limit ?", max);
  }

  /** Yields what `list` returns, by pieces: thousands of rows at once hold up everybody. */
  async *each(max: number = limits.catalogListMax): AsyncGenerator<CatalogRow> {
    const ids = this.#db.prepare("select id from models order by downloaded_at_unix desc, id limit ?").all(max);
    for (const [at, { id }] of ids.entries()) {
      if (at % limits.catalogRowsAtOnce === 0) await nextTurn();
      const row = this.byId(String(id));
      if (row) yield row;
    }
  }

  #rows(query: string, ...values: (string | number)[]): CatalogRow[] {
    return this.#db.prepare(query).all(...values).map((row) => catalogRow.parse(row));
  }

  /** Adds a model, or brings its row up to date; how often it was used stays. Returns the row. */
  put(entry: NewRow): CatalogRow {
    const id = this.find(entry)?.id ?? this.#freeId(entry);
    const { files = [], shape = null, owned = false } = entry;
    this.#db.prepare(
      `insert into models (id, provider, reference, variant, local_path, size_bytes, downloaded_at_unix, digest,
         quantization, architecture, context_length, files, shape, owned, damaged)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       on conflict (provider, reference, variant) do update set
         local_path = excluded.local_path, size_bytes = excluded.size_bytes,
         downloaded_at_unix = excluded.downloaded_at_unix, digest = excluded.digest,
         quantization = excluded.quantization, architecture = excluded.architecture,
         context_length = excluded.context_length, files = excluded.files, shape = excluded.shape,
         owned = excluded.owned, damaged = excluded.damaged`,
    ).run(
      ...[id, entry.provider, entry.reference, entry.variant ?? "", entry.local_path],
      ...[entry.size_bytes, entry.downloaded_at_unix, entry.digest ?? null],
      ...[entry.quantization ?? null, entry.architecture ?? null, entry.context_length ?? null],
      ...[JSON.stringify(files), shape && JSON.stringify(shape), Number(owned), Number(entry.damaged ?? false)],
    );
    this.onChange();
    return this.byId(id)!;
  }

  /** Counts a use of a model. */
  used(id: string, nowUnix: number): void {
    this.#db.prepare("update models set use_count = use_count + 1, last_used_unix = ? where id = ?").run(nowUnix, id);
  }

  /** Forgets a model; its file stays. */
  remove(id: string): void {
    const { changes } = this.#db.prepare("delete from models where id = ?").run(id);
    if (changes > 0) this.onChange();
  }

  /** Two files of one name in two folders are two models: the second gets a piece of its reference's digest. */
  #freeId(entry: CatalogEntry): string {
    const name = basename(entry.local_path).replace(/\.gguf$/, "") || entry.provider;
    if (this.byId(name) === undefined) return name;
    const whole = `${entry.provider}:${entry.reference}${entry.variant ? `:${entry.variant}` : ""}`;
    const digest = createHash("sha256").update(whole).digest("hex");
    const short = `${name}-${digest.slice(0, 8)}`;
    return this.byId(short) === undefined ? short : `${name}-${digest}`;
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
