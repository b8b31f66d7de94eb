/**
 * Brings node_modules up to the lock files, before every task. Silent and fast when there is nothing to do; on the first
 * run one line and a bar on stderr. Arguments name GPU packs to add: `deno task dependencies cuda vulkan`.
 */
import { fromRoot, textOrNull } from "./files.ts";
import { type Package, stampOf, wantedPacks } from "./packs.ts";

/**
 * Returns the packages whose node_modules differ from their lock file or lack a pack. A stamp beside the libraries
 * holds the lock's digest: file times lie after a `git checkout`, and a half finished install leaves no stamp.
 */
export async function stalePackages(packs: readonly string[]): Promise<Package[]> {
  const all: Package[] = [{ dir: "", packs: [] }, { dir: "native/", packs }];
  const stale: Package[] = [];
  for (const each of all) if (!(await isCurrent(each))) stale.push(each);
  return stale;
}

async function isCurrent(each: Package): Promise<boolean> {
  const stamp = await textOrNull(fromRoot(each.dir + "node_modules/.rbee-stamp"));
  if (stamp !== await stampOf(each.dir)) return false;
  for (const pack of each.packs) {
    if (!(await textOrNull(fromRoot(`${each.dir}node_modules/@node-llama-cpp/${pack}/package.json`)))) return false;
  }
  return true;
}

/**
 * Makes the libraries stand, with the named GPU packs (`cuda`, `vulkan`) besides the CPU's. Two at once are safe: the
 * second waits for the first and then finds nothing to do. Throws when the libraries can't be installed.
 */
export async function ensureDependencies(gpuPacks: readonly string[] = []): Promise<void> {
  const packs = wantedPacks(gpuPacks);
  if ((await stalePackages(packs)).length === 0) return;
  // Locking a file that is always there needs no file of its own; npm ci would remove one inside node_modules.
  using lock = await Deno.open(fromRoot("package-lock.json"), { read: true });
  await lock.lock(true);
  const stale = await stalePackages(packs);
  if (stale.length === 0) return;
  const { install } = await import("./install.ts");
  await install(stale);
}

if (import.meta.main) {
  try {
    await ensureDependencies(Deno.args);
  } catch (error) {
    console.error(`[build] ✗ ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
