/**
 * rbee-hive: one machine's pool of workers.
 *
 * @module
 */
import { CommanderError } from "commander";
import { toRbeeError } from "../protocol/error.ts";
import { dieWithParent } from "../runtime/parent.ts";
import { hiveCommandLine } from "./command_line.ts";
import { runDaemon } from "./daemon.ts";
import { detect } from "./detect.ts";
import { fingerprint } from "./fingerprint.ts";
import { showError } from "./output.ts";
import { status } from "./status.ts";

// First of all: a queen that dies while we start must not leave us behind.
if (Deno.args[0] === "daemon") dieWithParent();

const commandLine = hiveCommandLine({
  daemon: runDaemon,
  detect: (options) => finish(async () => (await detect(options), 0)),
  status: (options) => finish(() => status(options)),
  fingerprint: (options) => finish(() => Promise.resolve().then(() => fingerprint(options))),
});

async function finish(command: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await command());
  } catch (thrown) {
    Deno.exit(showError(toRbeeError(thrown)));
  }
}

try {
  await commandLine.parseAsync(Deno.args, { from: "user" });
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) throw thrown;
  Deno.exit(thrown.exitCode === 0 ? 0 : 2);
}
