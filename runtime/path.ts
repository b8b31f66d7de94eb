/**
 * Names of files and folders, by Node's `path` and `url` modules (they stand in for `@std/path`).
 *
 * @module
 */
import nodePath from "node:path";
import { fileURLToPath } from "node:url";

/** Returns the folder part of a path. */
export function dirname(path: string): string {
  return nodePath.dirname(path);
}

/** Returns the last part of a path. */
export function basename(path: string): string {
  return nodePath.basename(path);
}

/** Returns the parts joined and normalised. */
export function join(...parts: string[]): string {
  return nodePath.join(...parts);
}

/** Returns the path of a `file:` URL. */
export function fromFileUrl(url: URL): string {
  return fileURLToPath(url);
}
