/**
 * `[hive] probe`: a command of the machine's owner whose JSON replaces what was detected, for machines that detect
 * wrongly. Its keys are those of `Machine`, each optional.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type Machine, machine } from "../protocol/node.ts";
import { runOnce } from "../runtime/process.ts";

const probeOutput = machine.partial().strict();

/** Runs the probe and returns what it says. Throws `CONFIG_INVALID` that tells what was wrong with it. */
export async function runProbe(command: readonly string[]): Promise<Partial<Machine>> {
  const [exe, ...args] = command;
  const output = await runOnce(exe, args, { timeoutMs: limits.probeTimeoutMs, bytesMax: limits.probeOutputBytesMax });
  if (output === undefined) throw wrong(exe, "it cannot be started");
  if (output.code === 137) throw wrong(exe, `it did not end within ${limits.probeTimeoutMs / 1_000} s`);
  if (output.code !== 0) {
    throw wrong(exe, `it ended with exit code ${output.code}: ${output.stderr.slice(-200).trim()}`);
  }
  return parseProbe(exe, output.stdout);
}

/** Returns what a probe's output says. Throws `CONFIG_INVALID` that names every wrong field. */
export function parseProbe(exe: string, text: string): Partial<Machine> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong(exe, "its output is no JSON");
  }
  const parsed = probeOutput.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.slice(0, 8).map((issue) =>
    `${issue.path.join(".") || "output"}: ${issue.message.replace(/^Invalid input: /, "")}`
  );
  throw wrong(exe, `its output is wrong (${fields.join("; ")})`);
}

function wrong(exe: string, why: string): RbeeError {
  return new RbeeError("CONFIG_INVALID", {
    message: `Cannot use [hive] probe ${exe}: ${why}`,
    details: { key: "hive.probe" },
    hint: "Correct the command or remove [hive] probe; `rbee-hive detect` shows what it gives",
  });
}
