/**
 * What stops an installation, each as one error.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { join } from "../runtime/path.ts";
import { isDiskFull } from "../runtime/paths.ts";
import { shippedFolder } from "../runtime/shipped.ts";

/** Returns the error for a file or folder that could not be written. An `RbeeError` stays what it is. */
export function writeError(cause: unknown, path: string): RbeeError {
  if (cause instanceof RbeeError) return cause;
  if (isDiskFull(cause)) {
    return new RbeeError("DISK_FULL", {
      message: `Cannot write ${path}: no space left on the disk`,
      details: { path },
      hint: "Free space and run it again; what was installed before still works",
      cause,
    });
  }
  return new RbeeError("HOME_NOT_WRITABLE", {
    message: `Cannot write ${path}: ${reason(cause)}`,
    details: { path },
    hint: "Make that folder writable for you and run it again; what was installed before still works",
    cause,
  });
}

function reason(cause: unknown): string {
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (cause instanceof Deno.errors.NotADirectory) return "a part of its path is no folder";
  return cause instanceof Error ? cause.message : String(cause);
}

/** Returns the error for files that are in the way and that rbee did not put there. */
export function notOurs(paths: readonly string[]): RbeeError {
  const [first, ...more] = paths;
  const others = more.length > 0 ? ` (and ${more.join(", ")})` : "";
  return new RbeeError("FILE_NOT_OURS", {
    message: `Cannot install: ${first}${others} is there already, and no \`rbee install\` put it there`,
    details: { paths },
    hint: "Move it away, or replace it: rbee install --force",
  });
}

/** Throws `ROOT_NEEDED`, with the line to type, unless this process may change the system's folders. */
export function needRoot(line: string): void {
  if (Deno.uid() === 0) return;
  throw new RbeeError("ROOT_NEEDED", {
    message: `Cannot run \`rbee ${line}\`: the system's folders belong to root`,
    // The whole path: sudo looks for programs in folders of its own.
    hint: `sudo ${shellWord(join(shippedFolder(), "rbee-keeper"))} ${line}`,
  });
}

/** Returns a word as a POSIX shell reads it back. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
