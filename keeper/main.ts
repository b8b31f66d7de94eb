/**
 * `rbee-keeper`, also called `rbee`: the person's hands. Parses the command line, runs one command, ends with 0, 1, 2
 * or 130.
 *
 * @module
 */
import type { Command, CommanderError, OutputConfiguration } from "commander";
import { type RbeeError, toRbeeError } from "../protocol/error.ts";
import { environment } from "../runtime/environment.ts";
import { paths } from "../runtime/paths.ts";
import { type Program, runProgram } from "../runtime/program.ts";
import { IS_COMPILED, versionLine } from "../runtime/version.ts";
import { buildCommands } from "./commands.ts";
import { follow, withoutHelp } from "./help.ts";
import type { Invocation } from "./shared_flags.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { OutputClosed, Render } from "./render.ts";
import { usageError } from "./usage.ts";

/** Returns what writes before the command's own flags are known. */
function renderFor(args: readonly string[], flags: { json?: boolean; quiet?: boolean } = {}): Render {
  return new Render({ json: args.includes("--json"), ...flags, environment });
}

async function keep(program: Program, args: string[]): Promise<number> {
  const render = renderFor(args);
  try {
    if (args.length === 1 && /^(--version|-V)$/.test(args[0])) {
      await render.line(versionLine("rbee-keeper"));
      return exitCodes.success;
    }
    if (args.length === 1 && args[0] === "--licenses") {
      await render.text(await (await import("../runtime/licenses.ts")).licensesText());
      return exitCodes.success;
    }
    return await parse(program, args, render);
  } catch (error) {
    if (error instanceof OutputClosed) return exitCodes.success;
    throw error;
  }
}

async function parse(program: Program, args: string[], render: Render): Promise<number> {
  let code = exitCodes.success as number;
  const root = buildCommands(async (invocation) => {
    code = await carryOut(program, args, invocation);
  });
  let help = "";
  const quiet = { writeOut: (text: string) => void (help += text), writeErr: () => {}, outputError: () => {} };
  configure(root, quiet);
  const line = withoutHelp(root, args);
  try {
    if (args.length === 0) root.outputHelp();
    else await root.parseAsync(line, { from: "user" });
  } catch (thrown) {
    if (!isCommanderError(thrown)) throw thrown;
    const error = usageError(thrown, follow(root, line).path);
    if (error) {
      render.error(error);
      return exitCodes.usage;
    }
  }
  await render.text(help);
  return code;
}

/** commander copies such settings only to commands that are made after them. */
function configure(command: Command, output: OutputConfiguration): void {
  command.exitOverride().configureOutput(output);
  for (const sub of command.commands) configure(sub, output);
}

function isCommanderError(thrown: unknown): thrown is CommanderError {
  return thrown instanceof Error && typeof (thrown as CommanderError).code === "string" &&
    (thrown as CommanderError).code.startsWith("commander.");
}

async function carryOut(program: Program, args: string[], invocation: Invocation): Promise<number> {
  const render = renderFor(args, { json: invocation.json ?? false, quiet: invocation.quiet ?? false });
  const context: { node?: string; configFile?: string } = {};
  try {
    const keeper = await makeKeeper(program, render, context);
    return await invocation.action(keeper);
  } catch (thrown) {
    if (program.signal.aborted) {
      render.canceled();
      return exitCodes.canceled;
    }
    if (thrown instanceof OutputClosed) return exitCodes.success;
    const error = toRbeeError(thrown);
    render.error(error, context);
    return codeOf(error);
  }
}

function codeOf(error: RbeeError): number {
  return error.code === "USAGE" ? exitCodes.usage : exitCodes.failure;
}

async function makeKeeper(
  program: Program,
  render: Render,
  context: { node?: string; configFile?: string },
): Promise<Keeper> {
  const where = paths();
  context.configFile = where.configFiles[0];
  if (!IS_COMPILED) {
    // Whoever kills `npx` or `deno task` means us, but the signal ends there.
    const { watchLauncher } = await import("../runtime/launcher.ts");
    watchLauncher(() => program.end(new Error("the launcher is gone")));
  }
  return {
    signal: program.signal,
    render,
    paths: where,
    config: async () => {
      const loaded = (await import("../runtime/config.ts")).loadConfig(where);
      context.configFile = loaded.file ?? context.configFile;
      return loaded;
    },
    aboutNode: (node) => context.node = node,
  };
}

await runProgram((program) => keep(program, Deno.args), {
  onError: (error) => {
    renderFor(Deno.args).error(error);
    return codeOf(error);
  },
});
