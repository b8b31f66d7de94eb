/**
 * Outputs of real machines for tests, each named with its source in SOURCES.md.
 *
 * @module
 */
import type { KernelFiles } from "../libc.ts";

/** Returns the text of a file in this folder. */
export function fixture(name: string): string {
  return Deno.readTextFileSync(new URL(name, import.meta.url));
}

/** Returns kernel files that hold just these texts, by absolute path. */
export function kernelTree(texts: Record<string, string>): KernelFiles {
  return {
    read: (path) => texts[path],
    list: (path) => {
      const under = Object.keys(texts).filter((name) => name.startsWith(`${path}/`));
      const names = new Set(under.map((name) => name.slice(path.length + 1).split("/")[0]));
      return names.size > 0 ? [...names].sort() : undefined;
    },
  };
}
