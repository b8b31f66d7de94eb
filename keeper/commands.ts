/**
 * The command table: names, flags, help with examples. What a command does is loaded only when it runs, so that
 * `rbee --help` stays quick.
 *
 * @module
 */
import { Argument, Command, Option } from "commander";
import { limits, ports } from "../protocol/limits.ts";
import { addHive } from "./hive_command.ts";
import { addInfer } from "./infer_command.ts";
import { addInstall } from "./install_command.ts";
import { addModels } from "./models_command.ts";
import { name, number } from "./options.ts";
import { addPlan } from "./plan_command.ts";
import { examples, type Invoke, jsonOption, quietOption } from "./shared_flags.ts";
import { addOldNames, addSetup } from "./setup_command.ts";
import { addWorkers } from "./workers_command.ts";

/** Returns the whole command tree. Parsing errors are thrown (`exitOverride`), not written. */
export function buildCommands(invoke: Invoke): Command {
  const root = new Command("rbee")
    .description("Your own machines as one private LLM service.")
    .exitOverride()
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command...]", "show the help of a command")
    .option("-V, --version", "print the version")
    .option("--licenses", "print the licences of everything inside this program")
    .showSuggestionAfterError(true)
    .addHelpText(
      "after",
      examples(
        'rbee infer --prompt "write a short story"',
        "rbee up && rbee workers start --model builtin:tiny --keep forever",
        "rbee status",
        "rbee help infer",
      ),
    );
  addInfer(root, invoke);
  addPlan(root, invoke);
  addDaemon(root, invoke);
  addModels(root, invoke);
  addWorkers(root, invoke);
  addHive(root, invoke);
  addSetup(root, invoke);
  addLogs(root, invoke);
  addDoctor(root, invoke);
  addConfig(root, invoke);
  addCompletion(root, invoke);
  addInstall(root, invoke);
  return root;
}

/** `up`, `down`, `status`, and their older names `daemon start|stop|status`. */
function addDaemon(root: Command, invoke: Invoke): void {
  const status = (parent: Command, word: string) =>
    parent.command(word).description("what runs: the queen, this machine and the others, their workers")
      .addOption(jsonOption())
      .addHelpText("after", examples("rbee status", "rbee status --json | jq .queen.url"))
      .action((options) =>
        invoke({ ...options, action: async (keeper) => (await import("./status.ts")).status(keeper) })
      );
  const up = (parent: Command, word: string) =>
    parent.command(word).description("start a queen that stays, in the background")
      .option("--port <port>", `listen on this port instead of ${ports.queen}`, number(ports))
      .addOption(quietOption())
      .addOption(jsonOption())
      .addHelpText("after", examples("rbee up", "rbee up --port 8090"))
      .action((options) =>
        invoke({ ...options, action: async (keeper) => (await import("./up_down.ts")).up(keeper, options) })
      );
  const down = (parent: Command, word: string) =>
    parent.command(word).description("stop the queen, her hives and their workers")
      .addOption(quietOption())
      .addOption(jsonOption())
      .addHelpText("after", examples("rbee down"))
      .action((options) =>
        invoke({ ...options, action: async (keeper) => (await import("./up_down.ts")).down(keeper) })
      );
  status(root, "status");
  up(root, "up");
  down(root, "down");
  const daemon = root.command("daemon", { hidden: true }).description("older names of up, down and status")
    .addHelpText("after", examples("rbee daemon start", "rbee daemon stop"));
  up(daemon, "start");
  down(daemon, "stop");
  status(daemon, "status");
}

function addLogs(root: Command, invoke: Invoke): void {
  root.command("logs").description("what the programs wrote, also when nothing runs any more")
    .addOption(new Option("--node <name>", "on this machine (default: the one before you)").argParser(name))
    .addOption(new Option("--worker <id>", "only this worker").argParser(name).conflicts("program"))
    .addOption(new Option("--program <name>", "only this program").choices(["queen", "hive"]))
    .option("-f, --follow", "go on until Ctrl+C")
    .option(
      "-n, --lines <number>",
      `how many of the last lines (default: ${limits.logLinesDefault})`,
      number({ min: 0, max: limits.logLinesMax }),
    )
    .addOption(new Option("--json", "the lines as they stand in the files"))
    .addHelpText(
      "after",
      examples(
        "rbee logs",
        "rbee logs --follow",
        "rbee logs --worker worker-1a2b3c4d --lines 500",
        "rbee logs --node gaming-pc --follow",
      ),
    )
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./logs.ts")).logs(keeper, options) })
    );
}

function addDoctor(root: Command, invoke: Invoke): void {
  root.command("doctor").description("what is missing on this machine, and the line that mends it")
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee doctor", "rbee doctor --json"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./doctor.ts")).doctor(keeper) })
    );
}

function addConfig(root: Command, invoke: Invoke): void {
  const config = root.command("config").description("the configuration file")
    .addHelpText("after", examples("rbee config show", "rbee config init"));
  config.command("path").description("which file is in use")
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee config path"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./config.ts")).configPath(keeper) })
    );
  config.command("show").description("every key with its value, and where each comes from")
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee config show", "rbee config show --json | jq .config.queen"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./config.ts")).configShow(keeper) })
    );
  config.command("init").description("write a file with every key in comments; never over another one")
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee config init"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./config.ts")).configInit(keeper) })
    );
  addOldNames(config, invoke);
}

function addCompletion(root: Command, invoke: Invoke): void {
  root.command("completion").description("print the completion script of a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(["bash", "zsh", "fish"]))
    .addHelpText(
      "after",
      examples(
        "rbee completion bash > ~/.local/share/bash-completion/completions/rbee",
        'rbee completion zsh > "${fpath[1]}/_rbee"',
        "rbee completion fish > ~/.config/fish/completions/rbee.fish",
      ),
    )
    .action((shell) =>
      invoke({ action: async (keeper) => (await import("./completion.ts")).completion(keeper, shell) })
    );
  root.command("__complete", { hidden: true }).argument("[words...]").allowUnknownOption().helpOption(false)
    .action((words) =>
      invoke({ action: async (keeper) => (await import("./completion.ts")).completeWords(keeper, { root, words }) })
    );
}
