/**
 * The model that ships with rbee, `builtin:tiny`. From source the file lies beside this one; the compiled hive carries
 * it at the same place relative to its bundle (`build/compile.ts` includes it), so that one URL serves both.
 */

/** Size of tiny.gguf in bytes. */
export const TINY_BYTES = 2383680;

/** SHA-256 of tiny.gguf, 64 hex digits. */
export const TINY_SHA256 = "7c69dda5a71716a390eec52c819f65c49166554400f71f2b7b0f542f8477edc2";

/**
 * Returns where tiny.gguf can be read by `Deno.readFile`. Inside an executable that is a file of Deno's own embedded
 * file system: native code can't open it, so the hive writes it into the models folder first.
 */
export function tinyGguf(): URL {
  return new URL("./tiny/tiny.gguf", import.meta.url);
}
