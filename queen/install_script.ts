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

/** A text on its way to a command whose standard input stays open behind it. */
export interface OpenInput {
  readonly stream: ReadableStream<Uint8Array>;
  /** Ends it; once more does nothing. */
  close(): void;
}

/** Returns an input that tells the other side that somebody waits for it, for as long as it is open: so it ends with us. */
export function openInput(text: string): OpenInput {
  let ending: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      ending = controller;
      controller.enqueue(new TextEncoder().encode(text));
    },
  });
  return {
    stream,
    close() {
      try {
        ending.close();
      } catch {
        // whoever read it has left
      }
    },
  };
}

/**
 * Returns the command that runs the script when a file follows it on stdin. The script's bytes are counted, because sh
 * itself would read on; they are no argument, because not every login shell takes a text of many lines in quotes.
 */
export function scriptThenFileCommand(scriptBytes: number, args: readonly string[]): string {
  const begin = `s=$(dd bs=1 count=${scriptBytes} 2>/dev/null); eval "$s"`;
  return `exec sh -c ${shq(begin)} install_node.sh ${commandLine(args)}`;
}
