/**
 * The models of this machine: from a reference to files that a worker can be started with, and the catalog that keeps
 * what is known of them true to what lies on disk.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import {
  type ModelFacts,
  type ModelName,
  type ModelRecord,
  type ModelRef,
  parseModelRef,
  printModelRef,
} from "../protocol/model.ts";
import { basename, dirname } from "../runtime/path.ts";
import { builtinModel, tinyDigest } from "./builtin_model.ts";
import type { ArrivedFile, Place } from "./arrival.ts";
import type { Catalog, CatalogEntry, CatalogRow } from "./catalog.ts";
import { entriesOf } from "./folder_walk.ts";
import { readModel, stateOfFiles, statModelFile } from "./model_file.ts";
import { ModelHolds } from "./model_holds.ts";
import { hubRow, importedRow } from "./model_match.ts";
import { canonicalVariant } from "./model_names.ts";
import { placeOf } from "./model_places.ts";
import { refreshRow } from "./model_refresh.ts";
import { damaged, factsOfRow, keyOf, type LocalModel, localModel, notHere, recordOf } from "./model_row.ts";
import { digestsBeside, writeSidecar } from "./sidecar.ts";
import { Turns } from "./turns.ts";

export type { LocalModel } from "./model_row.ts";

/** What `Models` works with. */
export interface ModelsOptions {
  readonly catalog: Catalog;
  /** Where models are kept. */
  readonly folder: string;
  /** Takes what rbee itself brings along when `folder` may not be written; absent: nothing does. */
  readonly ownFolder?: string;
  readonly aliases: Readonly<Record<string, string>>;
  /** Told when the picture of the models has changed. */
  readonly onChange?: () => void;
}

/** The models of this machine. */
export class Models {
  readonly catalog: Catalog;
  /** One at a time for each model: arriving, being imported, being removed. Keys are `keyOf` of its name. */
  readonly turns = new Turns();
  /** Models that are about to be used. */
  readonly holds = new ModelHolds();
  readonly #options: ModelsOptions;
  #scanned: Promise<unknown> = Promise.resolve();
  #picture?: ModelFacts[];

  constructor(options: ModelsOptions) {
    this.#options = options;
    this.catalog = options.catalog;
    options.catalog.onChange = () => {
      this.#picture = undefined;
      options.onChange?.();
    };
  }

  /** The real path of the models folder, once it is there. */
  get folder(): string {
    try {
      return Deno.realPathSync(this.#options.folder);
    } catch {
      return this.#options.folder;
    }
  }

  /** Returns the parsed form of a reference or alias. Throws `INVALID_MODEL_REF`. */
  parse(text: string): ModelRef {
    return parseModelRef(text, this.#options.aliases);
  }

  /** Whoever looks for a model that no row tells of waits for this search of the folder. */
  searching(scan: Promise<unknown>): void {
    this.#scanned = scan.catch(() => {});
  }

  /**
   * Returns the model, its files checked and its row brought up to date. Throws `MODEL_NOT_FOUND`, `MODEL_AMBIGUOUS`,
   * `MODEL_LOAD_FAILED`, `MODEL_INCOMPATIBLE`, `ACCESS_DENIED` or `DISK_FULL`.
   */
  async find(ref: ModelRef): Promise<LocalModel> {
    return localModel(ref, await this.#whole(ref));
  }

  /**
   * Returns the row of a model that is here and can be used; undefined when it is not here, or damaged and to be fetched
   * again. Throws as `find` does, but not for these.
   */
  async here(ref: ModelRef): Promise<CatalogRow | undefined> {
    try {
      const row = await this.row(ref);
      return row.damaged ? undefined : row;
    } catch (error) {
      if (error instanceof RbeeError && error.code === "MODEL_NOT_FOUND") return undefined;
      throw error;
    }
  }

  /** Resolves when the folder was searched for models that no row tells of. */
  async ready(): Promise<void> {
    await this.#scanned;
  }

  /** Returns what is known of a model that is here. Throws as `find` does. */
  async factsOf(ref: ModelRef): Promise<ModelFacts> {
    return factsOfRow(await this.#whole(ref));
  }

  /** Returns the row of a model that is here, damaged or not. Throws as `find` does, but not for damage. */
  async row(ref: ModelRef): Promise<CatalogRow> {
    if (ref.provider === "builtin") return await this.#builtin(ref);
    if (ref.provider === "file") return await this.#file(ref);
    const known = await this.#known(ref);
    if (known) return known;
    await this.#scanned;
    const found = await this.#known(ref) ?? await this.#lyingAround(ref);
    if (found) return found;
    throw notHere(printModelRef(ref));
  }

  /**
   * Returns the row that a reference, an alias or a catalog id means, as it stands; undefined when there is none. Throws
   * `INVALID_MODEL_REF`, `MODEL_AMBIGUOUS`.
   */
  async named(text: string): Promise<{ ref?: ModelRef; row?: CatalogRow }> {
    await this.#scanned;
    let ref: ModelRef;
    try {
      ref = this.parse(text);
    } catch (error) {
      const row = this.catalog.byId(text);
      if (row) return { row };
      throw error;
    }
    return { ref, row: this.rowOf(ref) };
  }

  /** Returns the row that a reference means, without a look at the disk. Throws `MODEL_AMBIGUOUS`. */
  rowOf(ref: ModelRef): CatalogRow | undefined {
    switch (ref.provider) {
      case "builtin":
        return this.catalog.find({ provider: "builtin", reference: ref.name });
      case "file":
        return this.catalog.find({ provider: "file", reference: ref.path });
      case "http":
        return this.catalog.find({ provider: "http", reference: ref.url });
      case "hf":
        return hubRow(ref, this.catalog.variants("hf", `${ref.org}/${ref.repo}`), this.folder);
      case "import":
        return importedRow(ref, this.catalog.variants("import", ref.name));
    }
  }

  /** Returns what is here, those that came last first; what has gone is forgotten, what has changed is read anew. */
  async list(): Promise<ModelRecord[]> {
    await this.#scanned;
    await this.look();
    return await Array.fromAsync(this.catalog.each(), recordOf);
  }

  /** Compares all rows with the disk. */
  async look(): Promise<void> {
    const rows = this.catalog.each();
    const work = Array.from({ length: limits.modelStatsAtOnce }, async () => {
      for await (const row of rows) await this.refresh(row);
    });
    await Promise.all(work);
  }

  /** Returns what every picture of this hive shows: the newest models that can be used. Reads no disk. */
  picture(): ModelFacts[] {
    return this.#picture ??= this.catalog.list(limits.statusModelsMax).filter((row) => !row.damaged).map(factsOfRow);
  }

  /** Enters a model that was downloaded and checked. Throws what reading its header throws. */
  async arrived(entry: CatalogEntry, files: readonly ArrivedFile[]): Promise<ModelRecord> {
    const digests = new Map(files.flatMap(({ path, digest }) => digest ? [[basename(path), digest]] : []));
    if (files.length === 1 && entry.digest) digests.set(basename(files[0].path), entry.digest);
    const place = { path: files[0].path, owned: true, digests, downloadedAtUnix: entry.downloaded_at_unix };
    return await this.turns.run(keyOf(entry), async () => {
      const row = await this.enter(entry, place);
      await writeSidecar(row);
      return recordOf(row);
    });
  }

  /** Reads a model's headers and puts it into the catalog. Throws what reading them throws. */
  async enter(name: ModelName, place: Place): Promise<CatalogRow> {
    const read = await readModel(place.path, place.digests);
    const { provider, reference } = name;
    const variant = provider === "hf" ? canonicalVariant(name.variant ?? "", place.path) : name.variant ?? "";
    for (const other of this.catalog.byPath(read.local_path)) {
      const isSame = other.reference === reference && other.variant === variant;
      if (other.provider === provider && !isSame) this.catalog.remove(other.id);
    }
    const downloaded_at_unix = place.downloadedAtUnix ?? Math.floor(Date.now() / 1_000);
    return this.catalog.put({ provider, reference, variant, ...read, downloaded_at_unix, owned: place.owned });
  }

  /** Counts a use of a model. */
  used(ref: ModelRef): void {
    const row = this.rowOf(ref);
    if (row) this.catalog.used(row.id, Math.floor(Date.now() / 1_000));
  }

  /** Whether one of these references means that row, or one that is held. */
  isUsed(row: CatalogRow, refs: readonly string[]): boolean {
    return [...this.holds.held(), ...refs].some((text) => {
      try {
        return this.rowOf(this.parse(text))?.id === row.id;
      } catch {
        return false; // it means no single model
      }
    });
  }

  /** Returns the row as its files are now; undefined when they are gone, and the model is forgotten. */
  async refresh(row: CatalogRow): Promise<CatalogRow | undefined> {
    return await refreshRow(this.catalog, row);
  }

  async #whole(ref: ModelRef): Promise<CatalogRow> {
    const row = await this.row(ref);
    if (row.damaged) throw damaged(ref, row);
    return row;
  }

  async #known(ref: ModelRef): Promise<CatalogRow | undefined> {
    for (let row = this.rowOf(ref); row; row = this.rowOf(ref)) {
      const fresh = await this.refresh(row);
      if (fresh) return fresh;
    }
  }

  async #builtin(ref: ModelRef & { provider: "builtin" }): Promise<CatalogRow> {
    const path = await builtinModel(this.#options.folder, this.#options.ownFolder);
    const known = this.rowOf(ref);
    if (known?.local_path === path && known.shape && !known.damaged && await stateOfFiles(known) === "same") {
      return known;
    }
    const digests = new Map([[basename(path), tinyDigest]]);
    const downloadedAtUnix = known?.downloaded_at_unix;
    return await this.enter({ provider: "builtin", reference: ref.name }, {
      path,
      owned: true,
      digests,
      downloadedAtUnix,
    });
  }

  async #file(ref: ModelRef & { provider: "file" }): Promise<CatalogRow> {
    const known = this.rowOf(ref);
    try {
      const { path } = await statModelFile(ref.path);
      if (known?.local_path === path && known.shape && await stateOfFiles(known) === "same") return known;
      const downloadedAtUnix = known?.downloaded_at_unix;
      return await this.enter({ provider: "file", reference: ref.path }, {
        path: ref.path,
        owned: false,
        downloadedAtUnix,
      });
    } catch (error) {
      if (known && error instanceof RbeeError && error.code === "MODEL_NOT_FOUND") this.catalog.remove(known.id);
      throw error;
    }
  }

  /** A file from the web lies in a folder that its address names: it is found even when its row was never written. */
  async #lyingAround(ref: ModelRef): Promise<CatalogRow | undefined> {
    if (ref.provider !== "http") return undefined;
    const folder = `${this.folder}/${dirname(placeOf(ref, "any"))}`;
    const file = (await entriesOf(folder, limits.splitFilesMax)).find(({ name, isFile }) =>
      isFile && name.endsWith(".gguf")
    );
    if (!file) return undefined;
    try {
      const path = `${folder}/${file.name}`;
      const digests = await digestsBeside([path]);
      return await this.enter({ provider: "http", reference: ref.url }, { path, owned: true, digests });
    } catch (error) {
      if (error instanceof RbeeError) return undefined;
      throw error;
    }
  }
}
