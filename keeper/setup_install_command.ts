/**
 * The flags of `rbee setup install` and `uninstall`.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { name } from "./options.ts";
import { examples, type Invoke, jsonOption, quietOption } from "./shared_flags.ts";

/** `protocol/install.ts` has the same list, but loads a schema library. */
const backends = ["cpu", "cuda", "vulkan", "metal"];

/** Adds `setup install|uninstall`. */
export function addInstall(setup: Command, invoke: Invoke): void {
  setup.command("install").description("put rbee on a machine, or bring it up to this version")
    .addOption(new Option("-n, --node <name>", "this machine").argParser(name).conflicts("all"))
    .addOption(new Option("--all", "every registered machine, one after the other"))
    .addOption(
      new Option("--backend <name>", "its worker computes on this; left out, what the machine has").choices(backends),
    )
    .addOption(new Option("--ship", "send the executables of this build").conflicts("fromSource"))
    .addOption(new Option("--from-source", "build there, from the repository that add-node was given"))
    .addOption(new Option("--service", "its system starts the hive and keeps it running"))
    .addOption(new Option("--no-service", "take that back"))
    .addOption(quietOption()).addOption(jsonOption())
    .addHelpText(
      "after",
      examples(
        "rbee setup install --node gaming-pc",
        "rbee setup install --node gaming-pc --backend cpu",
        "rbee setup install --all",
      ),
    )
    .action((options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./setup_install.ts")).installNodes(keeper, options),
      })
    );
  setup.command("uninstall").description("take rbee off a machine; data and models stay")
    .addOption(new Option("-n, --node <name>", "this machine").argParser(name).makeOptionMandatory())
    .addOption(new Option("--purge", "also rbee's data and models there"))
    .addOption(quietOption()).addOption(jsonOption())
    .addHelpText("after", examples("rbee setup uninstall --node gaming-pc", "rbee setup uninstall -n old-pc --purge"))
    .action((options) =>
      invoke({
        ...options,
        action: async (keeper) => (await import("./setup_install.ts")).uninstallNode(keeper, options),
      })
    );
}
