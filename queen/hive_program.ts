/**
 * Whether this queen can start a hive: its program must be there, and her permission to run it was resolved through
 * PATH when she started.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { executableFolder, isInstalled, programCommand } from "../runtime/executables.ts";
import { IS_COMPILED } from "../runtime/version.ts";

/** Throws `HIVE_START_FAILED` whose hint has both lines that work. */
export function checkHiveRunnable(): void {
  const command = programCommand("rbee-hive");
  const isPermitted = Deno.permissions.querySync({ name: "run", command: command.exe }).state === "granted";
  if (isInstalled(command) && isPermitted) return;
  const folder = executableFolder();
  const queen = IS_COMPILED ? "queen-rbee daemon" : "deno run --no-prompt -P=queen queen/main.ts daemon";
  throw new RbeeError("HIVE_START_FAILED", {
    message: isInstalled(command)
      ? "Cannot start the hive: rbee-hive is not in PATH"
      : `Cannot start the hive: rbee-hive is not in ${folder}`,
    details: { folder },
    hint: `Start her with one of these lines:\n    ${
      IS_COMPILED ? "rbee" : "deno task rbee"
    } up\n    PATH="${folder}:$PATH" ${queen}`,
  });
}
