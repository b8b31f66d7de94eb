/**
 * What an import finds: models that it could take, and what it leaves where it is.
 *
 * @module
 */
import type { ModelName } from "../protocol/model.ts";

/** A model that could be taken. */
export interface Candidate {
  /** Its first file as a person knows it. */
  readonly source: string;
  readonly name: ModelName;
  /** Its files, the first one first: where each is read, and where it goes below the models folder. */
  readonly files: readonly { readonly from: string; readonly to: string }[];
  /** `sha256:<hex>` of the only file, where its place tells it. */
  readonly digest?: string;
  /** Whether another model may have that name already: then it gets another one. */
  readonly mayBeRenamed: boolean;
}

/** What is left where it is. */
export interface Skipped {
  readonly path: string;
  readonly reason: string;
}

/** What a search yields. */
export type Finding = Candidate | Skipped;

/** Whether it is left where it is. */
export function isSkipped(finding: Finding): finding is Skipped {
  return "reason" in finding;
}

/** Returns where a link leads, when that is a file within `root` (a real path); else why it is not taken. */
export async function fileWithin(root: string, path: string): Promise<{ real: string } | { reason: string }> {
  try {
    const real = await Deno.realPath(path);
    if (!real.startsWith(`${root}/`)) return { reason: "it is a link out of the folder" };
    return (await Deno.stat(real)).isFile ? { real } : { reason: "it is no regular file" };
  } catch (error) {
    return { reason: whyUnreadable(error) };
  }
}

/** Returns why something could not be read, for a person. */
export function whyUnreadable(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it is not there";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.FilesystemLoop) return "its links go in a circle";
  return error instanceof Error ? error.message : String(error);
}
