/**
 * The flags of `rbee install` and `rbee uninstall`.
 *
 * @module
 */
import type { Command } from "commander";
import { examples, type Invoke, jsonOption, quietOption } from "./shared_flags.ts";

/** Adds `install` and `uninstall`. */
export function addInstall(root: Command, invoke: Invoke): void {
  root.command("install").description("put the programs where your shell finds them: ~/.local/bin")
    .option("--system", "for everybody on this machine: /usr/local/bin, /etc/rbee, /var/lib/rbee; needs root")
    .option("--service", "let the system start a queen and keep her running")
    .option("--force", "replace files under these names that no rbee put there")
    .addOption(quietOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      examples("rbee install", "rbee install --service", "sudo ./rbee install --system --service") +
        "\n\nA configuration that is there is never changed. Run it again to bring everything up to date.",
    )
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./install.ts")).install(keeper, options) })
    );
  root.command("uninstall").description("remove what install put there; configuration, data and models stay")
    .option("--system", "what was installed for everybody on this machine; needs root")
    .option("--purge", "remove configuration, data and models as well; nothing is asked")
    .addOption(quietOption())
    .addOption(jsonOption())
    .addHelpText("after", examples("rbee uninstall", "rbee uninstall --purge", "sudo rbee uninstall --system"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./uninstall.ts")).uninstall(keeper, options) })
    );
}
