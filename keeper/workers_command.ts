/**
 * The flags of `rbee workers`.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { name, seconds } from "./options.ts";
import { examples, type Invoke, jsonOption, quietOption, workerOptions } from "./shared_flags.ts";

const yearMs = 365 * 86_400_000;

/** Adds `workers list|health|start|stop|shutdown`. */
export function addWorkers(root: Command, invoke: Invoke): void {
  const workers = root.command("workers").description("the processes that hold a model each")
    .addHelpText("after", examples("rbee workers list", "rbee workers start --model builtin:tiny --keep 30m"));
  workers.command("list").description("all workers with their state")
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee workers list", "rbee workers list --json | jq '.workers[].state'"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./workers.ts")).listWorkers(keeper) })
    );
  workers.command("health").description("whether each worker answers")
    .addOption(new Option("-n, --node <name>", "only those of this machine").argParser(name))
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee workers health", "rbee workers health --node local"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./workers.ts")).workersHealth(keeper, options) })
    );
  const start = workers.command("start").description("load a model before anybody asks for it");
  for (const option of workerOptions()) {
    start.addOption(option.long === "--model" ? option.makeOptionMandatory() : option);
  }
  start
    .addOption(
      new Option("--keep <time>", "stop it after this idle time: 30m, 2h, forever")
        .argParser(seconds({ minMs: 1, maxMs: yearMs, words: { forever: 0 } })),
    )
    .addOption(quietOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      examples(
        "rbee workers start --model builtin:tiny --keep forever",
        "rbee workers start --model file:/models/llama.gguf --slots 4 --ctx 8192 --keep 30m",
      ),
    )
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./workers.ts")).startWorker(keeper, options) })
    );
  for (const word of ["shutdown", "stop"]) addShutdown(workers, word, invoke);
}

function addShutdown(workers: Command, word: string, invoke: Invoke): void {
  workers.command(word).description(word === "stop" ? "the same as shutdown" : "let a worker unload its model and end")
    .argument("[id]", "the worker's id")
    .addOption(new Option("--id <id>", "the worker's id").argParser(name))
    .addOption(jsonOption())
    .addHelpText("after", examples(`rbee workers ${word} worker-1a2b3c4d`, `rbee workers ${word} --id worker-1a2b3c4d`))
    .action((id, options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./workers.ts")).shutdownWorker(keeper, { id, ...options, word }),
      })
    );
}
