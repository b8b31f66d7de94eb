/**
 * The flags of `rbee plan`.
 *
 * @module
 */
import type { Command } from "commander";
import { examples, type Invoke, jsonOption, quietOption, workerOptions } from "./shared_flags.ts";

/** Adds `plan`. */
export function addPlan(root: Command, invoke: Invoke): void {
  const plan = root.command("plan").description("what would become of a task on each machine, and why; does nothing");
  for (const option of workerOptions()) plan.addOption(option);
  plan.addOption(quietOption()).addOption(jsonOption())
    .addHelpText(
      "after",
      examples(
        "rbee plan --model hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF:Q4_K_M",
        "rbee plan --model smollm2 --backend cuda --ctx 8192",
        "rbee plan --json | jq .chosen",
      ),
    )
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./plan.ts")).plan(keeper, options) })
    );
}
