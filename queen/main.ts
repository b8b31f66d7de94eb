/**
 * queen-rbee: takes tasks, decides, relays.
 *
 * @module
 */
import { CommanderError } from "commander";
import { dieWithParent } from "../runtime/parent.ts";
import { trustNoAuthority } from "../runtime/trust.ts";
import { queenCommandLine } from "./command_line.ts";
import { runDaemon } from "./daemon.ts";

// First of all: whoever started us as a child must not leave us behind.
dieWithParent();
// Whom we call shows a certificate that a person gave us, or speaks no TLS.
trustNoAuthority();

const encoder = new TextEncoder();
const write = (to: { writeSync(bytes: Uint8Array): number }) => (text: string) => {
  try {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch {
    // the pipe is closed: nobody reads
  }
};
const output = { writeOut: write(Deno.stdout), writeErr: write(Deno.stderr) };

try {
  await queenCommandLine((flags) => runDaemon(flags, output.writeErr), output).parseAsync(Deno.args, { from: "user" });
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) throw thrown;
  Deno.exit(thrown.exitCode === 0 ? 0 : 2);
}
