/**
 * The flags of `rbee hive`.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { name } from "./options.ts";
import { examples, type Invoke, jsonOption, quietOption } from "./shared_flags.ts";

const nodeOption = (text: string) => new Option("-n, --node <name>", text).argParser(name);

/** Adds `hive start|stop|restart|status`. */
export function addHive(root: Command, invoke: Invoke): void {
  const hive = root.command("hive").description("the program on each machine that starts its workers")
    .addHelpText("after", examples("rbee hive status", "rbee hive restart --node gaming-pc"));
  hive.command("start").description("start a machine's hive, or use the one that runs there; needs a queen that stays")
    .addOption(nodeOption("on this machine").makeOptionMandatory()).addOption(quietOption()).addOption(jsonOption())
    .addHelpText("after", examples("rbee up && rbee hive start --node gaming-pc"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./hive.ts")).startHive(keeper, options) })
    );
  hive.command("stop").description("end a machine's hive and its workers, whoever started it")
    .addOption(nodeOption("on this machine").makeOptionMandatory()).addOption(quietOption()).addOption(jsonOption())
    .addHelpText("after", examples("rbee hive stop --node gaming-pc"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./hive.ts")).stopHive(keeper, options) })
    );
  hive.command("restart").description("stop and start it; needs a queen that stays")
    .addOption(nodeOption("on this machine").makeOptionMandatory()).addOption(quietOption()).addOption(jsonOption())
    .addHelpText("after", examples("rbee hive restart --node gaming-pc"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./hive.ts")).restartHive(keeper, options) })
    );
  hive.command("status").description("the hives that the queen knows; starts nothing")
    .addOption(nodeOption("only this machine's")).addOption(jsonOption())
    .addHelpText("after", examples("rbee hive status", "rbee hive status --node gaming-pc --json"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./hive.ts")).hiveStatus(keeper, options) })
    );
}
