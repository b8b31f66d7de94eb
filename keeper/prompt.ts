/**
 * Where the prompt comes from: a flag, words on the command line, standard input.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";

/** What the command line says of the prompt. */
export interface PromptWish {
  /** `--prompt`. */
  readonly prompt?: string;
  readonly words: readonly string[];
}

/** Standard input, as far as a prompt needs it. */
export interface PromptInput {
  /** `terminal` for a person who types, `piped` for a pipe or a file, `nothing` for /dev/null and the like. */
  readonly kind: "terminal" | "piped" | "nothing";
  readonly readable: ReadableStream<Uint8Array>;
}

/** Returns this process's standard input. */
export function standardInput(): PromptInput {
  return { kind: kindOfStdin(), readable: Deno.stdin.readable };
}

function kindOfStdin(): PromptInput["kind"] {
  if (Deno.stdin.isTerminal()) return "terminal";
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isFile() || stat.isSocket() ? "piped" : "nothing";
  } catch {
    return "nothing"; // it was closed before we began
  }
}

/** How to read it. */
export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Called when the input lets us wait for a second. */
  readonly onWaiting?: () => void;
}

/**
 * Returns the prompt. Words and a piped input are joined by a blank line; `--prompt` alone never touches the input, so
 * that it can stand in a loop that reads a file. Throws `USAGE` when there is none.
 */
export async function readPrompt(wish: PromptWish, input: PromptInput, options: ReadOptions): Promise<string> {
  const asked = wish.words.includes("-");
  const words = wish.words.filter((word) => word !== "-");
  if (wish.prompt !== undefined && words.length > 0) {
    throw usage("Cannot take two prompts: one by --prompt and one as words", 'Use only one: rbee infer "hello"');
  }
  const said = wish.prompt ?? words.join(" ");
  const wantsInput = asked || (wish.prompt === undefined && input.kind === "piped");
  const piped = wantsInput && input.kind !== "nothing" ? await readAll(input.readable, options) : "";
  const parts = [said, piped.replace(/\r?\n$/, "")].filter((part) => part.trim() !== "");
  if (parts.length > 0) return parts.join("\n\n");
  throw usage("Cannot infer without a prompt: it is empty", 'Give one: rbee infer --prompt "write a short story"');
}

function usage(message: string, hint: string): RbeeError {
  return new RbeeError("USAGE", { message, hint });
}

async function readAll(readable: ReadableStream<Uint8Array>, options: ReadOptions): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const notice = setTimeout(() => options.onWaiting?.(), limits.stdinNoticeMs);
  const pieces: string[] = [];
  let bytes = 0;
  const reader = readable.getReader();
  const stop = () => void reader.cancel(options.signal.reason).catch(() => {});
  options.signal.addEventListener("abort", stop, { once: true });
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      clearTimeout(notice);
      bytes += step.value.length;
      if (bytes > limits.stdinPromptBytesMax) {
        stop();
        throw new RbeeError("PAYLOAD_TOO_LARGE", {
          message: `Cannot take the prompt: standard input has more than ${limits.stdinPromptBytesMax} bytes`,
          hint: "Give a shorter text",
        });
      }
      pieces.push(decoder.decode(step.value, { stream: true }));
    }
    options.signal.throwIfAborted();
    return pieces.join("") + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw usage("Cannot read the prompt: it is no UTF-8 text", "Give plain text");
    throw error;
  } finally {
    clearTimeout(notice);
    options.signal.removeEventListener("abort", stop);
  }
}
