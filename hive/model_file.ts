/**
 * Looks at the files of a model: whether they are all there and unchanged, and what their headers say.
 *
 * @module
 */
import type { GgufHeader } from "../native/gguf.ts";
import { shapeOf } from "../native/gguf_shape.ts";
import { RbeeError } from "../protocol/error.ts";
import { basename } from "../runtime/path.ts";
import type { CatalogRow, ModelFile } from "./catalog.ts";
import { checkGguf } from "./gguf_check.ts";
import { filesOfModel } from "./model_names.ts";
import { modelDigest } from "./model_digest.ts";

/** What the files of a model tell. */
export type ModelOnDisk = Pick<
  CatalogRow,
  "local_path" | "size_bytes" | "digest" | "quantization" | "architecture" | "context_length" | "files" | "shape"
>;

/**
 * Returns what the files of the model say whose first file (or any, of a split one) lies at `path`; digests by name are
 * taken over. Throws `MODEL_NOT_FOUND`, `ACCESS_DENIED`, `MODEL_LOAD_FAILED` for what is no whole GGUF file,
 * `MODEL_INCOMPATIBLE` for what is no language model.
 */
export async function readModel(
  path: string,
  digests: ReadonlyMap<string, string> = new Map(),
): Promise<ModelOnDisk> {
  const files: ModelFile[] = [];
  let first: GgufHeader | undefined;
  for (const one of filesOfModel(path)) {
    const file = await statModelFile(one);
    files.push({ ...file, digest: digests.get(file.name) ?? null });
    const header = await checkGguf(file.path, one).catch((error) => {
      throw whyNot(one, error);
    });
    if (!first) checkUse(one, first = header);
  }
  const header = first!;
  return {
    local_path: files[0].path,
    size_bytes: sizeOf(files),
    digest: modelDigest(files),
    quantization: header.quantization,
    architecture: header.architecture,
    context_length: contextLength(header),
    files,
    shape: shapeOf(header, sizeOf(files)),
  };
}

const sizeOf = (files: readonly ModelFile[]) => files.reduce((sum, { size }) => sum + size, 0);

/** Returns a file as it is now, without its digest. Throws `MODEL_NOT_FOUND` or `ACCESS_DENIED`. */
export async function statModelFile(path: string): Promise<Omit<ModelFile, "digest">> {
  try {
    const real = await Deno.realPath(path); // a worker's folder links to the file itself, not to another link
    const info = await Deno.stat(real);
    if (!info.isFile) throw notFound(path, "it is no regular file");
    return { name: basename(path), path: real, size: info.size, mtime: info.mtime?.getTime() ?? 0 };
  } catch (error) {
    throw whyNot(path, error);
  }
}

function whyNot(path: string, error: unknown): RbeeError {
  if (isBarred(error)) {
    return new RbeeError("ACCESS_DENIED", {
      message: `Cannot open ${path}: nothing below /dev, /proc and /sys is opened`,
      details: { path },
      hint: "Put the file into another folder",
      cause: error,
    });
  }
  if (error instanceof RbeeError) return error;
  if (error instanceof Deno.errors.PermissionDenied) {
    return new RbeeError("ACCESS_DENIED", {
      message: `Cannot open ${path}: permission denied`,
      details: { path },
      hint: "Make the file readable for the user that runs rbee",
      cause: error,
    });
  }
  return notFound(path, error instanceof Deno.errors.NotFound ? "no such file" : String((error as Error).message));
}

/** Deno keeps the kernel's folders to programs that may do everything. */
function isBarred(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable || error instanceof Error && isBarred(error.cause);
}

function notFound(path: string, why: string): RbeeError {
  return new RbeeError("MODEL_NOT_FOUND", { message: `Cannot find ${path}: ${why}`, details: { path } });
}

function contextLength({ metadata, architecture }: GgufHeader): number | null {
  const value = Number(metadata.get(`${architecture}.context_length`)?.value);
  return Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** Returns nothing. Throws `MODEL_INCOMPATIBLE` for files that belong beside a model and are none. */
export function checkUse(path: string, { metadata, architecture }: GgufHeader): void {
  const type = metadata.get("general.type")?.value;
  const what = type === "adapter"
    ? "an adapter"
    : type === "mmproj" || architecture === "clip"
    ? "an image projector"
    : type === "imatrix" || type === "vocab"
    ? `a file of the kind ${type}`
    : undefined;
  if (what === undefined) return;
  throw new RbeeError("MODEL_INCOMPATIBLE", {
    message: `Cannot use ${path}: it is ${what}, no language model`,
    details: { path },
    hint: "Use the model's own file",
  });
}

/** How the files of a row are now. */
export type FileState = "same" | "changed" | "gone" | "unknown";

/** Returns it: by length and time, without reading. `unknown`: a disk that does not answer today may be back tomorrow. */
export async function stateOfFiles(row: Pick<CatalogRow, "local_path" | "files">): Promise<FileState> {
  let state: FileState = row.files.length === 0 ? "changed" : "same";
  const files = row.files.length === 0 ? [{ path: row.local_path, size: -1, mtime: -1 }] : row.files;
  for (const { path, size, mtime } of files) {
    try {
      const info = await Deno.stat(path);
      if (!info.isFile) return "gone";
      if (info.size !== size || (info.mtime?.getTime() ?? 0) !== mtime) state = "changed";
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "gone";
      return "unknown";
    }
  }
  return state;
}
