/**
 * What this build is. `build/compile.ts` bakes version, commit and backend into an executable as the one global
 * `RBEE_BUILD` (esbuild `define`); from source the version is that of the root deno.json.
 */
import workspace from "../deno.json" with { type: "json" };

/** What the compiler bakes in: the version, the short commit it was made from, and the worker's backend. */
export interface Build {
  /** Semantic version, equal in all programs that talk to each other. */
  readonly version: string;
  /** Short commit hash, with `+` behind it when files differed from it, or `unknown`. */
  readonly commit: string;
  /** `cpu`, `cuda`, `vulkan` or `metal`: the libraries inside a worker; `cpu` in the other programs. */
  readonly backend: string;
}

declare const RBEE_BUILD: Build | undefined;

const baked: Build | undefined = typeof RBEE_BUILD === "undefined" ? undefined : RBEE_BUILD;

/** True in an executable made by `deno task compile`, false when run from source. */
export const IS_COMPILED: boolean = baked !== undefined;

/** The version that programs compare with each other (`0.1.0`). */
export const VERSION: string = baked?.version ?? workspace.version;

/** The commit this program was made from (`1a2b3c4`), or `source`. Shown, never compared. */
export const COMMIT: string = baked?.commit ?? "source";

/** The backend whose libraries this executable carries; `cpu` from source, where the installed pack decides. */
export const BUILD_BACKEND: string = baked?.backend ?? "cpu";

/** This machine's platform as used in `dist/<platform>/` and in the manifest: `linux-x64`, `macos-arm64`, … */
export const PLATFORM: string = `${Deno.build.os === "darwin" ? "macos" : Deno.build.os}-${
  Deno.build.arch === "x86_64" ? "x64" : "arm64"
}`;

/** Returns the line that `--version` prints, without a line end: `queen-rbee 0.1.0 (1a2b3c4, linux-x64)`. */
export function versionLine(program: string): string {
  return `${program} ${VERSION} (${COMMIT}, ${PLATFORM})`;
}
