/** Files of the checkout, and small helpers that every part of the build uses. */
import { createHash } from "node:crypto";

const ROOT = new URL("../", import.meta.url);

/** Returns the absolute path of a file given relative to the checkout. */
export function fromRoot(relative: string): string {
  return decodeURIComponent(new URL(relative, ROOT).pathname);
}

/** Returns the SHA-256 of text or bytes as 64 hex digits. */
export function sha256Hex(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Returns the text of a file, or null when it can't be read. */
export async function textOrNull(path: string): Promise<string | null> {
  return await Deno.readTextFile(path).catch(() => null);
}

/** Returns true when something stands at this path. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Returns `$XDG_CACHE_HOME/rbee`, or `~/.cache/rbee`; a relative XDG value is ignored, as its specification says. */
export function cacheFolder(): string {
  const xdg = Deno.env.get("XDG_CACHE_HOME");
  if (xdg?.startsWith("/")) return `${xdg}/rbee`;
  return `${Deno.env.get("HOME") ?? "/tmp"}/.cache/rbee`;
}

/** Writes a line to stderr in the form of every rbee program: `[build] text`. */
export function say(text: string): void {
  console.error(`[build] ${text}`);
}
