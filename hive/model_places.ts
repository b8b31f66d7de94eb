/**
 * Where the files of a model that was fetched lie in the models folder, and nothing outside of it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { RbeeError } from "../protocol/error.ts";
import type { RemoteRef } from "./hub.ts";
import { checkFilePath } from "./hub_listing.ts";

/**
 * Returns the path of one file below the models folder: `hf/<org>/<repo>/<revision>/<file>`, or
 * `http/<digest of the address>/<file>`. Throws `INVALID_RESPONSE` for a name that leads out of it.
 */
export function placeOf(ref: RemoteRef, file: string): string {
  checkFilePath(file);
  if (ref.provider === "http") {
    return `http/${createHash("sha256").update(ref.url).digest("hex").slice(0, 16)}/${file}`;
  }
  const revision = (ref.revision ?? "main").replaceAll("/", "~"); // which no revision has
  return `hf/${ref.org}/${ref.repo}/${revision}/${file}`;
}

/**
 * Makes the folder that a place lies in and returns the file's path by real names. Throws `HOME_NOT_WRITABLE` when a link
 * leads out of the models folder, and what the system says.
 */
export async function makePlace(folder: string, place: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const parts = place.split("/");
  const name = parts.pop() ?? "";
  const path = `${await makeFolders(await Deno.realPath(folder), parts)}/${name}`;
  for (const one of [path, partOf(path), stateOf(path)]) await checkNoLink(one);
  return path;
}

/** Makes folders below a real path, one in the other, and returns the last one's path. Throws as `makePlace` does. */
export async function makeFolders(root: string, parts: readonly string[]): Promise<string> {
  // Step by step: `recursive` would go through a link and make folders wherever it leads.
  let at = root;
  for (const part of parts) {
    at = `${at}/${part}`;
    await Deno.mkdir(at, { mode: 0o700 }).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
    const info = await Deno.lstat(at);
    if (!info.isDirectory) throw leadsOut(at, info.isSymlink);
  }
  return at;
}

/** The file while it arrives. */
export function partOf(path: string): string {
  return `${path}.part`;
}

/** What is known of the file that arrives. */
export function stateOf(path: string): string {
  return `${path}.part.json`;
}

async function checkNoLink(path: string): Promise<void> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isFile) throw leadsOut(path, info.isSymlink);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function leadsOut(path: string, isLink: boolean): RbeeError {
  return new RbeeError("HOME_NOT_WRITABLE", {
    message: `Cannot write ${path}: ${isLink ? "it is a link, which may lead anywhere" : "something else is there"}`,
    details: { path },
    hint: "Remove it; to keep models elsewhere set [models] dir in config.toml",
  });
}
