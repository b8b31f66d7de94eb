/**
 * The look at a model file before a worker is started for it: what is no model, or has a header that cannot be true,
 * never reaches native code.
 *
 * @module
 */
import { type GgufHeader, readGgufHeader } from "../native/gguf.ts";
import { RbeeError } from "../protocol/error.ts";

/**
 * Returns the header of the GGUF file at `real`, a path without links; people know the file as `path`. Throws
 * `MODEL_LOAD_FAILED` for what is no GGUF file or was cut off, `MODEL_INCOMPATIBLE` for a header that cannot be true, and
 * what opening the file throws.
 */
export async function checkGguf(real: string, path: string = real): Promise<GgufHeader> {
  try {
    return await readGgufHeader(real);
  } catch (error) {
    if (!(error instanceof RbeeError)) throw error;
    if (error.cause instanceof Deno.errors.PermissionDenied) throw error.cause;
    throw new RbeeError(error.code, {
      message: error.message.replace(/^Cannot (load|use) (the|this) model: /, (_, verb) => `Cannot ${verb} ${path}: `),
      details: { path, ...error.details },
      hint: error.hint,
      cause: error,
    });
  }
}
