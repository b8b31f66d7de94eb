/**
 * The model that ships with rbee, as a file in the models folder.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { TINY_BYTES, TINY_SHA256, tinyGguf } from "../native/tiny.ts";
import { RbeeError } from "../protocol/error.ts";
import { isDiskFull } from "../runtime/paths.ts";

/** The digest of `builtin:tiny`. */
export const tinyDigest = `sha256:${TINY_SHA256}`;

/**
 * Returns the real path of `builtin:tiny`. A folder that all people of a machine share is root's: then `ownFolder`, this
 * person's own, takes the file. Throws `DISK_FULL` or `HOME_NOT_WRITABLE`.
 */
export async function builtinModel(folder: string, ownFolder: string = folder): Promise<string> {
  try {
    return await unpackTiny(folder);
  } catch (error) {
    const cause = error instanceof RbeeError ? error.cause : error;
    const isClosed = cause instanceof Deno.errors.PermissionDenied || /os error 30\b/.test(String(cause)); // EROFS
    if (ownFolder === folder || !isClosed) throw error;
    return await unpackTiny(ownFolder);
  }
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
