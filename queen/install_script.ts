/**
 * `install_node.sh` as commands of a node's shell. Nothing that a person typed stands in them unquoted.
 *
 * @module
 */
import { commandLine, shq } from "./shell_words.ts";

/** Returns the script's text: from source it lies beside this file, in an executable beside the bundle. */
export async function installScript(): Promise<string> {
  return await Deno.readTextFile(new URL("./install_node.sh", import.meta.url));
}

/** Returns the command that runs the script, which comes by stdin. */
export function scriptCommand(args: readonly string[]): string {
  return commandLine(["exec", "sh", "-s", "--", ...args]);
}

/**
 * Returns the command that runs the script when a file follows it on stdin. The script's bytes are counted, because sh
 * itself would read on; they are no argument, because not every login shell takes a text of many lines in quotes.
 */
export function scriptThenFileCommand(scriptBytes: number, args: readonly string[]): string {
  const begin = `s=$(dd bs=1 count=${scriptBytes} 2>/dev/null); eval "$s"`;
  return `exec sh -c ${shq(begin)} install_node.sh ${commandLine(args)}`;
}
