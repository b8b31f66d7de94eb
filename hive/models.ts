/**
 * From a model reference to a file on this machine: the built-in one is unpacked, a `file:` one is looked at.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { TINY_BYTES, TINY_SHA256, tinyGguf } from "../native/tiny.ts";
import { RbeeError } from "../protocol/error.ts";
import { type ModelRecord, type ModelRef, parseModelRef, printModelRef } from "../protocol/model.ts";
import { isDiskFull } from "../runtime/paths.ts";
import type { Catalog, CatalogEntry } from "./catalog.ts";
import { checkGguf } from "./gguf_check.ts";

/** A model that a worker can be started with. */
export interface LocalModel {
  /** The canonical reference. */
  readonly ref: string;
  /** The file's real path. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Changes when the file does; what is remembered of a model hangs on it. */
  readonly fingerprint: string;
}

/** What `Models` works with. */
export interface ModelsOptions {
  readonly catalog: Catalog;
  /** Where models are kept. */
  readonly folder: string;
  /** Takes what rbee itself brings along when `folder` may not be written; absent: nothing does. */
  readonly ownFolder?: string;
  readonly aliases: Readonly<Record<string, string>>;
}

/** The models of this machine. */
export class Models {
  readonly #options: ModelsOptions;

  constructor(options: ModelsOptions) {
    this.#options = options;
  }

  /** Returns the parsed form of a reference or alias. Throws `INVALID_MODEL_REF`. */
  parse(text: string): ModelRef {
    return parseModelRef(text, this.#options.aliases);
  }

  /**
   * Returns the file of a model, checked and entered into the catalog. Throws `MODEL_NOT_FOUND`, `MODEL_LOAD_FAILED`,
   * `MODEL_INCOMPATIBLE`, `ACCESS_DENIED` or `DISK_FULL`.
   */
  async find(ref: ModelRef): Promise<LocalModel> {
    switch (ref.provider) {
      case "builtin":
        return await this.#builtin(ref);
      case "file":
        return await this.#file(ref);
      default:
        throw notDownloaded(ref);
    }
  }

  /** Returns what the catalog knows; models whose file is gone are forgotten on the way. */
  list(): ModelRecord[] {
    for (const record of this.#options.catalog.list()) {
      if (!isThere(record.local_path)) this.#options.catalog.remove(record.provider, record.reference);
    }
    return this.#options.catalog.list();
  }

  async #builtin(ref: ModelRef & { provider: "builtin" }): Promise<LocalModel> {
    const path = await this.#tiny();
    this.#remember({ provider: "builtin", reference: ref.name, local_path: path, size_bytes: TINY_BYTES });
    return { ref: printModelRef(ref), path, sizeBytes: TINY_BYTES, fingerprint: `sha256:${TINY_SHA256}` };
  }

  /** A folder that all people of a machine share is root's: then this person's own takes the file. */
  async #tiny(): Promise<string> {
    const { folder, ownFolder = folder } = this.#options;
    try {
      return await unpackTiny(folder);
    } catch (error) {
      const cause = error instanceof RbeeError ? error.cause : error;
      const isClosed = cause instanceof Deno.errors.PermissionDenied || /os error 30\b/.test(String(cause)); // EROFS
      if (ownFolder === folder || !isClosed) throw error;
      return await unpackTiny(ownFolder);
    }
  }

  async #file(ref: ModelRef & { provider: "file" }): Promise<LocalModel> {
    try {
      const { path, size, mtime } = await lookAt(ref.path);
      this.#remember({ provider: "file", reference: ref.path, local_path: path, size_bytes: size });
      return { ref: printModelRef(ref), path, sizeBytes: size, fingerprint: `${path}:${size}:${mtime}` };
    } catch (error) {
      if (error instanceof RbeeError && error.code === "MODEL_NOT_FOUND") {
        this.#options.catalog.remove("file", ref.path);
      }
      throw error;
    }
  }

  #remember(entry: Omit<CatalogEntry, "downloaded_at_unix">): void {
    const known = this.#options.catalog.find(entry.provider, entry.reference);
    if (known?.local_path === entry.local_path && known.size_bytes === entry.size_bytes) return;
    this.#options.catalog.put({ ...entry, downloaded_at_unix: Math.floor(Date.now() / 1_000) });
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound); // a disk that does not answer today may be back tomorrow
  }
}

function notDownloaded(ref: ModelRef): RbeeError {
  return new RbeeError("MODEL_NOT_FOUND", {
    message: `Cannot find ${printModelRef(ref)}: this version of rbee downloads no models`,
    details: { model_ref: printModelRef(ref) },
    hint: "Download the GGUF file yourself and use file:/absolute/path.gguf, or builtin:tiny",
  });
}

async function lookAt(path: string): Promise<{ path: string; size: number; mtime: number }> {
  try {
    const real = await Deno.realPath(path); // a worker's folder links to the file itself, not to another link
    const info = await Deno.stat(real);
    if (!info.isFile) throw notFound(path, "it is no regular file");
    await checkGguf(real, path);
    return { path: real, size: info.size, mtime: info.mtime?.getTime() ?? 0 };
  } catch (error) {
    if (error instanceof RbeeError) throw error;
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new RbeeError("ACCESS_DENIED", {
        message: `Cannot open ${path}: permission denied`,
        details: { path },
        hint: "Make the file readable for the user that runs rbee",
        cause: error,
      });
    }
    throw notFound(path, error instanceof Deno.errors.NotFound ? "no such file" : String((error as Error).message));
  }
}

function notFound(path: string, why: string): RbeeError {
  return new RbeeError("MODEL_NOT_FOUND", { message: `Cannot find ${path}: ${why}`, details: { path } });
}

/** Returns the real path of `builtin:tiny` in the models folder; it is written when it is missing or damaged. */
async function unpackTiny(folder: string): Promise<string> {
  const path = `${folder}/builtin/tiny.gguf`;
  if (await isTiny(path)) return await Deno.realPath(path);
  // Written beside and renamed: two hives of one user may do this at the same time.
  const temporary = `${path}.${Deno.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await Deno.mkdir(`${folder}/builtin`, { recursive: true, mode: 0o700 });
    await Deno.writeFile(temporary, await Deno.readFile(tinyGguf()), { mode: 0o600 });
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {}); // it may not have come to be
    throw new RbeeError(isDiskFull(cause) ? "DISK_FULL" : "HOME_NOT_WRITABLE", {
      message: `Cannot write ${path}: ${(cause as Error).message}`,
      details: { path },
      hint: `Make ${folder} writable, or set [models] dir to another folder`,
      cause,
    });
  }
  return await Deno.realPath(path);
}

async function isTiny(path: string): Promise<boolean> {
  try {
    if ((await Deno.stat(path)).size !== TINY_BYTES) return false;
    // Piece by piece: the whole of it would stay in an idle hive's memory, and hashing it at once holds up everything.
    const hash = createHash("sha256");
    for await (const piece of (await Deno.open(path)).readable) hash.update(piece);
    return hash.digest("hex") === TINY_SHA256;
  } catch {
    return false; // missing or unreadable: written anew
  }
}
