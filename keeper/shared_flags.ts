/**
 * What several commands have in common: the flags, the form of their examples, and what it is to be asked for.
 *
 * @module
 */
import { Option } from "commander";
import { limits } from "../protocol/limits.ts";
import type { Keeper } from "./keeper.ts";
import { name, number, text } from "./options.ts";

/** A command that was asked for. */
export interface Invocation {
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** Loads what the command needs and carries it out; returns the exit code. */
  readonly action: (keeper: Keeper) => Promise<number>;
}

/** Carries out a command; given by `main.ts`. */
export type Invoke = (invocation: Invocation) => Promise<void>;

/** Returns the flag that every command has which prints data. */
export function jsonOption(): Option {
  return new Option("--json", "print JSON, errors included");
}

/** Returns the flag that silences narration. */
export function quietOption(): Option {
  return new Option("-q, --quiet", "no narration and no progress");
}

/** Returns examples as help shows them after the flags. */
export function examples(...lines: string[]): string {
  return ["", "Examples:", ...lines.map((line) => `  $ ${line}`)].join("\n");
}

/** How a model can be computed; `protocol/node.ts` has the same list, but loads a schema library. */
export const backendChoices: readonly string[] = ["cpu", "cuda", "metal", "vulkan", "rocm"];

/** Returns the flags that say which worker is wanted; `workers start` takes them as well. */
export function workerOptions(): Option[] {
  return [
    new Option("-m, --model <model>", "builtin:tiny, hf:<org>/<repo>:<quant>, file:/path.gguf, or an alias").argParser(
      text,
    ),
    new Option("-n, --node <name>", "compute on this machine; left out, the queen chooses").argParser(name),
    new Option("--backend <name>", "how to compute").choices([...backendChoices]),
    new Option("--device <number>", "which device of the backend").argParser(number({ min: 0, max: 1_024 })),
    new Option("--ctx <tokens>", "upper bound of the context").argParser(
      number({ min: limits.ctxTokensMin, max: limits.ctxTokensMax }),
    ),
    new Option("--slots <number>", "how many requests a new worker serves at once").argParser(
      number({ min: 1, max: limits.slotsMax }),
    ),
  ];
}
