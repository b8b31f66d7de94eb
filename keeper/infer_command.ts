/**
 * The flags of `rbee infer`.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { limits } from "../protocol/limits.ts";
import { number, seconds, several, text } from "./options.ts";
import { examples, type Invoke, jsonOption, quietOption, workerOptions } from "./shared_flags.ts";

const share = number({ min: 0, max: 1, fraction: true });

function samplingOptions(): Option[] {
  return [
    new Option("--max-tokens <number>", `how many tokens at most (default: ${limits.maxTokensDefault})`).argParser(
      number({ min: 1, max: limits.maxTokensMax }),
    ),
    new Option("--temperature <number>", `0 is greedy (default: ${limits.temperatureDefault})`).argParser(
      number({ min: 0, max: 2, fraction: true }),
    ),
    new Option("--top-p <share>", "sample from the likeliest tokens of this share").argParser(share),
    new Option("--top-k <number>", "sample from this many tokens; 0 is off").argParser(
      number({ min: 0, max: 1_000_000 }),
    ),
    new Option("--min-p <share>", "leave out what is less likely than this share of the best").argParser(share),
    new Option("--seed <number>", "the same seed and model give the same text").argParser(
      number({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    ),
    new Option("--repetition-penalty <number>", "above 1 avoids what was said before").argParser(
      number({ min: 0, max: 2, fraction: true }),
    ),
    new Option("--stop <text>", `end before this text; up to ${limits.stopStringsMax} times`).argParser(
      several({ count: limits.stopStringsMax, charsMax: limits.stopCharsMax }),
    ),
    new Option("--ignore-eos", "go on when the model wants to end"),
  ];
}

function taskOptions(): Option[] {
  return [
    new Option("--timeout <time>", "end the whole task after this time: 30s, 5m").argParser(
      seconds({ minMs: 1, maxMs: limits.taskTimeoutMsMax }),
    ),
    new Option("--wait <time>", `how long to wait for a free slot (default: ${limits.waitForSlotMs / 1_000}s)`)
      .argParser(seconds({ minMs: 0, maxMs: limits.waitForSlotMsMax })),
    new Option("--no-stream", "print the text at its end, all at once"),
    new Option("--explain", "why it goes where it goes, on stderr"),
    new Option("--stats", "tokens per second at the end, on stderr"),
    new Option("--verbose", "the same as --stats").implies({ stats: true }),
    quietOption(),
    jsonOption(),
  ];
}

/** Adds `infer`. */
export function addInfer(root: Command, invoke: Invoke): void {
  const infer = root.command("infer").description("generate text")
    .argument("[prompt...]", "what to say to the model; - reads it from standard input")
    .addOption(new Option("-p, --prompt <text>", "what to say to the model"))
    .addOption(new Option("--system <text>", "the system message").argParser(text))
    .addOption(new Option("--raw", "without the model's chat template"));
  for (const option of [...workerOptions(), ...samplingOptions(), ...taskOptions()]) infer.addOption(option);
  infer.addHelpText(
    "after",
    examples(
      'rbee infer --prompt "write a short story"',
      "rbee infer --max-tokens 50 --seed 7 write a poem",
      'cat notes.txt | rbee infer "summarise this:"',
      'rbee infer -p "hello" --model file:/models/llama.gguf --ctx 4096 --timeout 5m',
      'rbee infer -p "hello" --json | jq -r .text',
    ),
  ).action((words, options) =>
    invoke({
      ...options,
      action: async (keeper) => (await import("./infer.ts")).infer(keeper, { ...options, words }),
    })
  );
}
