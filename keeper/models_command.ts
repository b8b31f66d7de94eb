/**
 * The flags of `rbee models`.
 *
 * @module
 */
import { Argument, type Command, Option } from "commander";
import { name, text } from "./options.ts";
import { examples, type Invoke, jsonOption, quietOption } from "./shared_flags.ts";

/** Adds `models list|show|pull|rm|verify|import|aliases`; `models` alone lists. */
export function addModels(root: Command, invoke: Invoke): void {
  const models = root.command("models").description("the models on your machines' disks")
    .addHelpText("after", examples("rbee models", "rbee models pull smollm2", "rbee models rm smollm2"));
  models.command("list", { isDefault: true }).description("all models of all machines")
    .addOption(nodeOption("only those of this machine"))
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee models list", "rbee models list --json | jq '.models[].ref'"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./models.ts")).listModels(keeper, options) })
    );
  addShow(models, invoke);
  addPull(models, invoke);
  addRemove(models, invoke);
  addVerify(models, invoke);
  addImport(models, invoke);
  models.command("aliases").description("short names of models, built in and configured")
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee models aliases"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./models.ts")).listAliases(keeper) })
    );
}

const nodeOption = (description: string) => new Option("-n, --node <name>", description).argParser(name);
const modelArgument = (description: string) => new Argument("<model>", description).argParser(text);

function addShow(models: Command, invoke: Invoke): void {
  models.command("show").description("everything that is known of a model")
    .addArgument(modelArgument("its name in the list, its reference, or an alias"))
    .addOption(nodeOption("that of this machine"))
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee models show smollm2", "rbee models show builtin:tiny --json"))
    .action((model, options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./models.ts")).showModel(keeper, { ...options, model }),
      })
    );
}

function addPull(models: Command, invoke: Invoke): void {
  models.command("pull").description("fetch a model; what was broken off goes on where it was")
    .addArgument(modelArgument("hf:<org>/<repo>:<quant>, https://….gguf, or an alias"))
    .addOption(nodeOption("to this machine (default: this one, or the one that has it)"))
    .addOption(quietOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      examples(
        "rbee models pull smollm2",
        "rbee models pull hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M --node gaming-pc",
      ),
    )
    .action((model, options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./models.ts")).pullModel(keeper, { ...options, model }),
      })
    );
}

function addRemove(models: Command, invoke: Invoke): void {
  models.command("rm").description("forget a model and remove its files, if rbee fetched them")
    .addArgument(modelArgument("its name in the list, its reference, or an alias"))
    .addOption(nodeOption("from this machine"))
    .addOption(new Option("-y, --yes", "for scripts: nothing is asked anyway"))
    .addOption(quietOption())
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee models rm smollm2", "rbee models rm tinyllama --node gaming-pc"))
    .action((model, options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./models.ts")).removeModel(keeper, { ...options, model }),
      })
    );
}

function addVerify(models: Command, invoke: Invoke): void {
  models.command("verify").description("read every byte of a model and compare its digest")
    .addArgument(modelArgument("its name in the list, its reference, or an alias"))
    .addOption(nodeOption("that of this machine"))
    .addOption(quietOption())
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee models verify smollm2"))
    .action((model, options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./models.ts")).verifyModel(keeper, { ...options, model }),
      })
    );
}

function addImport(models: Command, invoke: Invoke): void {
  models.command("import").description("take a GGUF file, or what Ollama or Hugging Face have cached")
    .addArgument(new Argument("<path>", "a file, or a folder such as ~/.ollama/models").argParser(text))
    .addOption(nodeOption("the path is on this machine"))
    .addOption(quietOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      examples("rbee models import ~/Downloads/llama.gguf", "rbee models import ~/.cache/huggingface/hub"),
    )
    .action((path, options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./models.ts")).importModels(keeper, { ...options, path }),
      })
    );
}
