/**
 * `rbee install`: this build's programs, for this person or for everybody on this machine.
 *
 * @module
 */
import { dirname } from "../runtime/path.ts";
import { shippedFiles } from "../runtime/shipped.ts";
import { PLATFORM } from "../runtime/version.ts";
import { RbeeError } from "../protocol/error.ts";
import { defaultFile, writeNewConfig } from "./config.ts";
import { writeCompletions } from "./install_completions.ts";
import { needRoot } from "./install_errors.ts";
import { makeFolder } from "./install_folders.ts";
import { type Places, placesFor } from "./install_places.ts";
import { placePrograms, warmWorkers } from "./install_programs.ts";
import { ownQueen } from "./install_queens.ts";
import { type Installed, installLines } from "./install_text.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { checkService, installService } from "./service.ts";

/** The flags of `rbee install`, parsed. */
export interface InstallOptions {
  readonly system?: boolean;
  readonly service?: boolean;
  readonly force?: boolean;
}

/** Carries out `rbee install`. Returns 0, also when everything was up to date. */
export async function install(keeper: Keeper, options: InstallOptions): Promise<number> {
  const { render, signal } = keeper;
  if (options.system) needRoot(["install", "--system", ...(options.service ? ["--service"] : [])].join(" "));
  const places = placesFor(options.system ?? false);
  const source = await shippedFiles();
  checkPlatform(source.manifest.platform);
  if (options.service) await checkService(places, options.force ?? false);
  await makeFolders(places);
  const files = await placePrograms(source, {
    bin: places.bin,
    force: options.force ?? false,
    signal,
    onCopy: (name, bytes) => render.note("rbee-keeper", `📦 Copying ${name} (${Math.round(bytes / 1e6)} MB)`),
  });
  await warmWorkers(files, { bin: places.bin, signal });
  const queen = ownQueen(keeper.paths.queenFile);
  const done: Installed = {
    version: source.manifest.version,
    places,
    files,
    configCreated: writeConfig(places),
    completions: await writeCompletions(places),
    service: options.service ? await installService(places, { signal, busy: queen !== undefined }) : undefined,
    queen,
  };
  if (render.json) await render.value(jsonOf(done));
  else await render.text(installLines(done).join("\n") + "\n");
  return exitCodes.success;
}

function checkPlatform(platform: string): void {
  if (platform === PLATFORM) return;
  throw new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot install executables for ${platform}: this machine is ${PLATFORM}`,
    details: { platform, machine: PLATFORM },
  });
}

/** Before anything is copied: what cannot be written is found while nothing was changed. */
async function makeFolders({ system, bin, configFile, models }: Places): Promise<void> {
  for (const folder of [bin, dirname(configFile), models]) await makeFolder(folder, system);
}

function writeConfig({ system, configFile, models }: Places): boolean {
  return system
    ? writeNewConfig(configFile, defaultFile({ "models.dir": models }), 0o644)
    : writeNewConfig(configFile, defaultFile());
}

function jsonOf(done: Installed): Record<string, unknown> {
  const { version, places, files, completions, service } = done;
  return {
    version,
    bin: places.bin,
    files,
    config: { file: places.configFile, created: done.configCreated },
    models: places.models,
    completions,
    service: service ?? null,
    queen: done.queen ?? null,
  };
}
