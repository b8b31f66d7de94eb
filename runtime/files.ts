/**
 * Looks at what lies on disk.
 *
 * @module
 */

/** Whether something is there that can be looked at; a link to nothing is not. */
export function exists(path: string): boolean {
  return look(path) !== undefined;
}

/** Whether a regular file is there, or a link to one. */
export function isFile(path: string): boolean {
  return look(path)?.isFile ?? false;
}

function look(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
