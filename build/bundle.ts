/** Bundles one program into one file by esbuild: `deno compile` would embed all of node_modules otherwise. */
import { builtinModules } from "node:module";
import type { Plugin } from "esbuild";
import { fromRoot } from "./files.ts";

/** What to bundle. */
export interface BundleOptions {
  /** The program's main file, relative to the checkout. */
  readonly entry: string;
  /** Where the bundle goes, absolute. */
  readonly outfile: string;
  /** Modules that stay imports, besides Node's own. */
  readonly external: readonly string[];
  /** Global names and the values they become, as esbuild's `define`. */
  readonly define: Readonly<Record<string, string>>;
}

// CommonJS libraries call require, and some ask for their folder: an ES module has neither by itself.
const BANNER = 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url); ' +
  'import { fileURLToPath as __fu } from "node:url"; const __rbee_filename = __fu(import.meta.url); ' +
  'const __rbee_dirname = __rbee_filename.replace(/\\/[^\\/]*$/, "");';

// Under their usual names these two would collide with libraries that declare them (node-llama-cpp does).
const FOLDER_NAMES = { __filename: "__rbee_filename", __dirname: "__rbee_dirname" };

/** Deno knows Node's modules by their `node:` names only; CommonJS libraries ask for the bare ones. */
const nodePrefix: Plugin = {
  name: "node-prefix",
  setup(build) {
    const names = new Set(builtinModules.filter((name) => !name.startsWith("_")));
    build.onResolve(
      { filter: /^[a-z_]+(\/[a-z_]+)*$/ },
      ({ path }) => names.has(path) ? { path: `node:${path}`, external: true } : undefined,
    );
  },
};

/**
 * Writes the bundle and returns the checkout's own files that went into it, relative and sorted, without libraries
 * (the lock files stand for those). Throws esbuild's error with file and line when the program doesn't build.
 */
export async function bundle(options: BundleOptions): Promise<string[]> {
  const esbuild = await import("esbuild");
  const result = await esbuild.build({
    absWorkingDir: fromRoot(""),
    entryPoints: [options.entry],
    outfile: options.outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "esnext",
    // Names stay: a stack trace from an executable must be readable.
    minifySyntax: true,
    minifyWhitespace: true,
    metafile: true,
    legalComments: "none",
    logLevel: "silent",
    external: ["node:*", ...options.external],
    define: { ...FOLDER_NAMES, ...options.define },
    plugins: [nodePrefix],
    banner: { js: BANNER },
  });
  // A defined global appears as an input named `<define:…>`, which is no file.
  const isOwn = (path: string) => !path.includes("node_modules/") && !path.startsWith("<");
  return Object.keys(result.metafile.inputs).filter(isOwn).sort();
}

/** Ends esbuild's service process; without it the build would never exit. */
export async function stopBundler(): Promise<void> {
  await (await import("esbuild")).stop();
}
