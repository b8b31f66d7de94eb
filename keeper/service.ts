/**
 * The service of an installation: its file, and the service manager that is told of it where one answers.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { environment } from "../runtime/environment.ts";
import { dirname } from "../runtime/path.ts";
import { runOnce } from "../runtime/process.ts";
import { notOurs, shellWord, writeError } from "./install_errors.ts";
import { makeFolder } from "./install_folders.ts";
import { agentLabel, type Places, unitName } from "./install_places.ts";
import type { State } from "./install_programs.ts";
import { launchdAgent, serviceMark, type ServiceWish, systemdUnit } from "./service_unit.ts";

/** What became of the service. */
export interface Service {
  readonly file: string;
  readonly state: State;
  /** It is enabled: it starts with the machine, or when the person logs in. */
  readonly enabled: boolean;
  /** It was started now. */
  readonly started: boolean;
  /** A queen ran already, so that this one was not started. */
  readonly busy: boolean;
  /** The lines to type for what could not be done here. */
  readonly lines: readonly string[];
}

/** A person's name as it may stand in a unit. */
const userName = /^[a-z_][a-z0-9_.-]{0,31}$/i;

/** Returns what the service of these places is to be; `sudo` tells whose it is. */
export function serviceWish(places: Places): ServiceWish {
  const person = environment("SUDO_USER");
  const variables: Record<string, string> = {};
  for (const name of ["RBEE_HOME", "RBEE_CONFIG", "XDG_CONFIG_HOME", "XDG_DATA_HOME"]) {
    const value = environment(name);
    // A line break would begin a line of its own in the file.
    if (!places.system && value !== undefined && !/[\r\n]/.test(value)) variables[name] = value;
  }
  const known = places.system && person !== undefined && person !== "root" && userName.test(person);
  return { bin: places.bin, system: places.system, environment: variables, ...(known ? { user: person } : {}) };
}

/**
 * Throws `FILE_NOT_OURS` when a file is there that rbee did not write, unless `force`, and `CONFIG_INVALID` for a folder
 * that systemd does not start programs from.
 */
export async function checkService({ bin, unit }: Places, force: boolean): Promise<void> {
  if (/["'\\]/.test(bin)) {
    throw new RbeeError("CONFIG_INVALID", {
      message: `Cannot make a service of ${bin}: systemd takes no quotes in a program's path`,
      hint: "Install for everybody: rbee install --system --service",
    });
  }
  const before = await Deno.readTextFile(unit).catch(() => undefined);
  if (before !== undefined && !before.includes(serviceMark) && !force) throw notOurs([unit]);
}

/** Writes the file, enables and starts the service. `busy`: a queen runs already, so nothing is started. */
export async function installService(
  places: Places,
  { signal, busy }: { signal: AbortSignal; busy: boolean },
): Promise<Service> {
  const wish = serviceWish(places);
  const isMac = Deno.build.os === "darwin";
  const log = places.system ? "/var/log/rbee-queen.log" : `${dirname(dirname(places.unit))}/Logs/rbee-queen.log`;
  const text = isMac ? launchdAgent(wish, { label: agentLabel, log }) : systemdUnit(wish);
  const state = await writeFile(places, text);
  const steps = isMac ? launchdSteps(places) : systemdSteps(places, busy);
  const done = isMac && busy ? 0 : await carryOut(steps, signal); // launchd starts what it is told of
  const lines = steps.slice(done).map(({ words }) => words.map(shellWord).join(" "));
  return { file: places.unit, state, enabled: done > 0, started: done === steps.length && !busy, busy, lines };
}

async function writeFile({ unit: path, system }: Places, text: string): Promise<State> {
  try {
    const before = await Deno.readTextFile(path).catch(() => undefined);
    if (before === text) return "kept";
    await makeFolder(dirname(path), system);
    const temporary = `${path}.${Deno.pid}.rbee-part`;
    await Deno.writeTextFile(temporary, text, { mode: 0o644 });
    await Deno.rename(temporary, path);
    return before === undefined ? "new" : "replaced";
  } catch (error) {
    throw writeError(error, path);
  }
}

interface Step {
  readonly words: readonly string[];
  /** Said when it could not be done, but the next one is tried all the same. */
  readonly optional?: boolean;
}

function systemdSteps({ system }: Places, busy: boolean): Step[] {
  const systemctl = ["systemctl", ...(system ? [] : ["--user"])];
  return [
    { words: [...systemctl, "daemon-reload"] },
    { words: [...systemctl, "enable", ...(busy ? [] : ["--now"]), unitName] },
  ];
}

function launchdSteps({ system, unit }: Places): Step[] {
  const domain = system ? "system" : `gui/${Deno.uid()}`;
  // `bootstrap` refuses what is loaded already.
  const unload: Step = { words: ["launchctl", "bootout", `${domain}/${agentLabel}`], optional: true };
  return [unload, { words: ["launchctl", "bootstrap", domain, unit] }];
}

/** Returns how many of the steps are done: the first that fails ends it. */
async function carryOut(steps: readonly Step[], signal: AbortSignal): Promise<number> {
  for (const [index, { words: [exe, ...args], optional }] of steps.entries()) {
    const output = await runOnce(exe, args, { signal });
    signal.throwIfAborted();
    if (output?.code !== 0 && !optional) return index;
  }
  return steps.length;
}

/**
 * Stops and disables the service of these places, when there is one of ours. Returns whether its file is there. Nothing
 * is thrown when the service manager does not answer: it forgets a file that is gone.
 */
export async function stopService(places: Places, signal: AbortSignal): Promise<boolean> {
  const text = await Deno.readTextFile(places.unit).catch(() => undefined);
  if (!text?.includes(serviceMark)) return false;
  const systemctl = ["systemctl", ...(places.system ? [] : ["--user"])];
  const domain = places.system ? "system" : `gui/${Deno.uid()}`;
  const words = Deno.build.os === "darwin"
    ? ["launchctl", "bootout", `${domain}/${agentLabel}`]
    : [...systemctl, "disable", "--now", unitName];
  await carryOut([{ words }], signal);
  return true;
}

/** Removes the file of the service, and the link by which systemd would start it. Returns the file's path. */
export async function removeService({ unit }: Places): Promise<string> {
  await Deno.remove(unit);
  const wanted = ["default.target", "multi-user.target"].map((target) =>
    `${dirname(unit)}/${target}.wants/${unitName}`
  );
  for (const link of wanted) {
    await Deno.remove(link).catch(() => {}); // not enabled, or disabled just now
    await Deno.remove(dirname(link)).catch(() => {}); // others are in it
  }
  return unit;
}
