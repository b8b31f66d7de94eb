/**
 * What every command of the keeper is given.
 *
 * @module
 */
import type { LoadedConfig } from "../runtime/config.ts";
import type { Paths } from "../runtime/paths.ts";
import type { Render } from "./render.ts";

/** One run of the keeper. */
export interface Keeper {
  /** Aborted by Ctrl+C, SIGTERM, a closed terminal, or the end of the launcher. */
  readonly signal: AbortSignal;
  readonly render: Render;
  readonly paths: Paths;
  /** Returns the configuration, read at the first call. Throws `CONFIG_INVALID`. */
  config(): Promise<LoadedConfig>;
  /** Remembers the node that an error text should name. */
  aboutNode(name: string | undefined): void;
}

/** Carries out one command; returns the exit code. */
export type Action<Options> = (keeper: Keeper, options: Options) => Promise<number>;

/** Exit codes, as every command uses them. */
export const exitCodes = Object.freeze({ success: 0, failure: 1, usage: 2, canceled: 130 });
