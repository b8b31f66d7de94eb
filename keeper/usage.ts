/**
 * From commander's complaints to the one usage error of rbee.
 *
 * @module
 */
import type { CommanderError } from "commander";
import { RbeeError } from "../protocol/error.ts";

/**
 * Returns the error for a command line that is not understood; undefined when commander only showed help.
 * `path` is the command that was being read: `rbee infer`.
 */
export function usageError(error: CommanderError, path: string): RbeeError | undefined {
  if (error.exitCode === 0) return undefined;
  if (error.code === "commander.help") {
    return new RbeeError("USAGE", {
      message: `Cannot run "${path}" alone: it needs one of its commands`,
      hint: `See ${path} --help`,
    });
  }
  const [first, ...rest] = error.message.replace(/^error: /, "").split("\n");
  const meant = rest.join(" ").match(/Did you mean (.*?)\?\)/)?.[1];
  return new RbeeError("USAGE", {
    message: `Cannot understand the command line: ${first.replace(/\.$/, "")}`,
    hint: meant ? `Did you mean ${meant}? See ${path} --help` : `See ${path} --help`,
    cause: error,
  });
}
