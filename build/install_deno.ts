/** Installs npm libraries by `deno install`, for a machine that has Deno and no npm. */
import type { Package } from "./packs.ts";
import { exists, fromRoot } from "./files.ts";

/** An npm package with nothing in it, pinned: it stands in for GPU libraries that nobody asked for. */
const EMPTY = "npm:empty-npm-package@1.0.0";

interface Lock {
  readonly packages: Record<string, { version?: string; optional?: boolean }>;
}

/**
 * Installs one package into its node_modules. Deno reads no package-lock.json, so the lock's versions are handed to it
 * as overrides. Works in a folder of its own: as a member of this workspace, `native` would be installed at the root
 * together with every GPU's libraries (744 MB). Throws with Deno's last words and what to type.
 */
export async function installByDeno(each: Package): Promise<void> {
  const target = fromRoot(each.dir + "node_modules");
  const stage = fromRoot(`${each.dir}.install-${Deno.pid}`);
  await Deno.mkdir(stage);
  try {
    await writeStage(stage, each);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["install", "--quiet"],
      cwd: stage,
      env: { DENO_TLS_CA_STORE: "mozilla,system" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    });
    const { success, stderr } = await child.output();
    if (!success) throw new Error(explain(new TextDecoder().decode(stderr)));
    if (await exists(target)) await Deno.remove(target, { recursive: true });
    await Deno.rename(`${stage}/node_modules`, target);
  } finally {
    await Deno.remove(stage, { recursive: true }).catch(() => {});
  }
}

async function writeStage(stage: string, each: Package): Promise<void> {
  const manifest = JSON.parse(await Deno.readTextFile(fromRoot(each.dir + "package.json")));
  const lock: Lock = JSON.parse(await Deno.readTextFile(fromRoot(each.dir + "package-lock.json")));
  manifest.overrides = overrides(lock, each.packs);
  const nativeVersion = manifest.dependencies["node-llama-cpp"];
  for (const pack of each.packs) manifest.dependencies[`@node-llama-cpp/${pack}`] = nativeVersion;
  await Deno.writeTextFile(`${stage}/package.json`, JSON.stringify(manifest));
  await Deno.writeTextFile(
    `${stage}/deno.json`,
    JSON.stringify({ workspace: [], nodeModulesDir: "auto", lock: false }),
  );
}

/**
 * Returns the lock's versions as overrides: names with one version only. In a package with packs every optional library
 * but those packs becomes the empty package, as npm's `--omit=optional` does: GPU libraries, and add-ons that esbuild
 * can't bundle.
 */
export function overrides(lock: Lock, packs: readonly string[]): Record<string, string> {
  const versions = new Map<string, Set<string>>();
  const unwanted = new Set<string>();
  for (const [path, { version, optional }] of Object.entries(lock.packages)) {
    const name = path.split("node_modules/").at(-1) ?? "";
    if (name === "" || !version) continue;
    versions.set(name, (versions.get(name) ?? new Set()).add(version));
    const isPack = packs.some((pack) => name === `@node-llama-cpp/${pack}`);
    if (packs.length > 0 && optional && !isPack) unwanted.add(name);
  }
  const result: Record<string, string> = {};
  for (const [name, found] of versions) {
    if (unwanted.has(name)) result[name] = EMPTY;
    else if (found.size === 1) result[name] = [...found][0];
  }
  return result;
}

function explain(stderr: string): string {
  const last = stderr.trim().split("\n").filter((line) => !/^\s*(\d+:|at )/.test(line)).slice(0, 6).join("\n  ");
  return `Cannot install the npm libraries: deno install failed\n  ${last}\n` +
    "  Where an npm registry other than the public one is used: export NPM_CONFIG_REGISTRY=<url>\n" +
    "  Then type the same command again";
}
