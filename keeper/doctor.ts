/**
 * `rbee doctor`: what is missing on this machine, and the line that mends it.
 *
 * @module
 */
import { type RbeeError, toRbeeError } from "../protocol/error.ts";
import { prepareHome } from "../runtime/paths.ts";
import { checkSocketPath } from "../runtime/ssh_sockets.ts";
import type { Check } from "./doctor_check.ts";
import { checkDetection } from "./doctor_machine.ts";
import { checkPorts } from "./doctor_ports.ts";
import { checkPrograms } from "./doctor_programs.ts";
import { errorText } from "./error_text.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { checkMovedAside } from "./moved_aside.ts";
import { findQueen } from "./queen_probe.ts";

/** Carries out `rbee doctor`. Returns 0, or 1 when something essential is missing. */
export async function doctor(keeper: Keeper): Promise<number> {
  const { render } = keeper;
  const found = await Promise.all([
    Promise.resolve(checkHome(keeper)),
    Promise.resolve(checkMovedAside(keeper.paths.home)),
    checkConfig(keeper),
    checkPrograms(keeper.signal),
    checkQueen(keeper),
    checkPorts(keeper),
    checkDetection(keeper.signal),
  ]);
  const checks = [...found.flat(), noToken];
  const ok = checks.every((check) => check.ok || !check.essential);
  if (render.json) await render.value({ ok, checks });
  else {await render.line(
      [...checks.flatMap(checkLines), "", ok ? "Ready." : "Not ready: mend what is marked ✗."].join("\n"),
    );}
  return ok ? exitCodes.success : exitCodes.failure;
}

/** Returns the lines of one check: its mark, and below it what mends it. */
export function checkLines(check: Check): string[] {
  const mark = check.ok ? "✓" : check.essential ? "✗" : "⚠";
  const lines = [`${mark} ${check.name}: ${check.text}`];
  return check.ok || check.fix === undefined ? lines : [...lines, `    → ${check.fix}`];
}

const noToken: Check = {
  name: "Hugging Face token",
  ok: true,
  essential: false,
  text: "not needed for builtin:tiny and files of your own",
};

function failed(name: string, error: RbeeError): Check {
  return { name, ok: false, essential: true, text: errorText(error).headline, fix: error.hint };
}

function checkHome(keeper: Keeper): Check[] {
  const name = "RBEE_HOME";
  try {
    const home = prepareHome(keeper.paths);
    return [{ name, ok: true, essential: true, text: `${home} is writable` }, ...checkReach(home)];
  } catch (error) {
    return [failed(name, toRbeeError(error))];
  }
}

/** Returns a warning when no other machine can be reached from this home by SSH. */
export function checkReach(home: string): Check[] {
  try {
    checkSocketPath(home);
    return [];
  } catch (error) {
    return [{ ...failed("other machines", toRbeeError(error)), essential: false }];
  }
}

async function checkConfig(keeper: Keeper): Promise<Check> {
  const name = "configuration";
  try {
    const { file } = await keeper.config();
    return { name, ok: true, essential: true, text: file ? `${file} is valid` : "no file: every key has its default" };
  } catch (error) {
    return failed(name, toRbeeError(error));
  }
}

async function checkQueen(keeper: Keeper): Promise<Check> {
  const name = "queen";
  try {
    const queen = await findQueen(keeper);
    const text = queen ? `runs at ${queen.url} (pid ${queen.pid}, ${queen.mode})` : "none is running; infer starts one";
    return { name, ok: true, essential: false, text };
  } catch (error) {
    keeper.signal.throwIfAborted();
    return { ...failed(name, toRbeeError(error)), essential: true };
  }
}
