/**
 * `rbee uninstall`: what an installation put there goes, and nothing else unless `--purge` says so.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { dirname, join } from "../runtime/path.ts";
import { installedManifest, type Manifest, parseManifest } from "../runtime/shipped.ts";
import { removeCompletions } from "./install_completions.ts";
import { needRoot, shellWord, writeError } from "./install_errors.ts";
import { removeEmpty } from "./install_folders.ts";
import { type Places, placesFor } from "./install_places.ts";
import { isFile, linkName, linkState } from "./install_programs.ts";
import { ownQueen, queenOfFolder } from "./install_queens.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { dataOf, outermost, purge } from "./purge.ts";
import { removeService, stopService } from "./service.ts";

/** The flags of `rbee uninstall`, parsed. */
export interface UninstallOptions {
  readonly system?: boolean;
  readonly purge?: boolean;
}

/** Carries out `rbee uninstall`. Returns 0, also when nothing was installed. */
export async function uninstall(keeper: Keeper, options: UninstallOptions): Promise<number> {
  const { render, signal } = keeper;
  const system = options.system ?? false;
  if (system) needRoot(["uninstall", "--system", ...(options.purge ? ["--purge"] : [])].join(" "));
  const places = placesFor(system);
  const hasService = await stopService(places, signal);
  await refuseWhileQueenRuns(keeper, places, options);
  const { removed, left } = await removePrograms(places.bin, signal);
  removed.push(...await removeCompletions(places));
  if (hasService) removed.push(await removeService(places));
  if (!system) { for (const path of removed) await removeEmpty(dirname(path), dirname(places.bin)); }
  const purged = options.purge ? await purge(keeper.paths, places) : [];
  const kept = outermost(dataOf(keeper.paths, places));
  if (render.json) await render.value({ bin: places.bin, removed, left, purged, kept });
  else await render.text(lines(places, { removed, left, purged, kept }).join("\n") + "\n");
  return exitCodes.success;
}

async function refuseWhileQueenRuns(keeper: Keeper, { bin }: Places, options: UninstallOptions): Promise<void> {
  const { queenFile } = keeper.paths;
  const queen = await queenOfFolder(bin, { queenFile, signal: keeper.signal }) ??
    (options.purge ? ownQueen(queenFile) : undefined);
  if (!queen) return;
  throw new RbeeError("QUEEN_ALREADY_RUNNING", {
    message: `Cannot uninstall: a queen runs (pid ${queen.pid})`,
    details: { pid: queen.pid },
    hint: "End her first: rbee down",
  });
}

interface Removal {
  readonly removed: string[];
  /** Files under our names that are not what was installed. */
  readonly left: string[];
}

async function removePrograms(bin: string, signal: AbortSignal): Promise<Removal> {
  const manifestFile = join(bin, installedManifest);
  const manifest = parseManifest(await Deno.readTextFile(manifestFile).catch(() => ""));
  if (!manifest) return { removed: [], left: [] };
  try {
    const found = await removeNamed(bin, manifest, signal);
    await Deno.remove(manifestFile);
    return found;
  } catch (error) {
    signal.throwIfAborted();
    throw writeError(error, bin);
  }
}

async function removeNamed(bin: string, manifest: Manifest, signal: AbortSignal): Promise<Removal> {
  const removed: string[] = [];
  const left: string[] = [];
  if (await linkState(bin) === "ours" && Object.hasOwn(manifest.files, "rbee-keeper")) {
    await Deno.remove(join(bin, linkName));
    removed.push(join(bin, linkName));
  }
  for (const [name, file] of Object.entries(manifest.files)) {
    const path = join(bin, name);
    const there = await Deno.lstat(path).catch(() => undefined);
    if (there?.isFile && await isFile(path, file, signal)) {
      await Deno.remove(path);
      await Deno.remove(join(bin, `.${name}`), { recursive: true }).catch(() => {}); // only workers unpack anything
      removed.push(path);
    } else if (there) left.push(path);
  }
  return { removed, left };
}

interface Told extends Removal {
  readonly purged: readonly string[];
  readonly kept: readonly string[];
}

function lines(places: Places, { removed, left, purged, kept }: Told): string[] {
  const other = places.system ? "rbee uninstall" : "sudo rbee uninstall --system";
  return [
    removed.length > 0
      ? `✓ rbee is gone from ${places.bin}`
      : `No rbee is installed in ${places.bin}. Another one: ${other}`,
    ...removed.map((path) => `  removed ${path}`),
    ...left.map((path) => `⚠️ ${path} is not the file that was installed: left as it is`),
    ...purged.map((path) => `  removed ${path}`),
    ...(kept.length > 0
      ? ["Kept: configuration, data and models. To remove them as well:", `  rm -r ${kept.map(shellWord).join(" ")}`]
      : []),
    ...(places.system ? ["Each person's own data lie in ~/.rbee"] : []),
  ];
}
