/** Installs npm libraries: by npm where there is one (it knows this network's proxy and certificates), else by Deno. */
import { type Package, stampOf } from "./packs.ts";
import { exists, fromRoot, say, textOrNull } from "./files.ts";
import { installByDeno } from "./install_deno.ts";
import { showProgress } from "./install_progress.ts";

const QUIET = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];

/**
 * Installs every given package and stamps it. Shows one line and, on a terminal, a bar on stderr.
 * Throws with the line to type when the registry can't be reached or delivers something else than the lock says.
 */
export async function install(packages: readonly Package[]): Promise<void> {
  const withNpm = await isNpmThere();
  const packs = packages.flatMap((each) => each.packs);
  const what = packs.length > 0 ? `npm libraries and llama.cpp (${packs.join(", ")})` : "npm libraries";
  say(`installing ${what} with ${withNpm ? "npm" : "deno"}, once`);
  const progress = await showProgress(packages);
  // Settled, not raced: when one fails the other still removes what it has half done.
  const ends = await Promise.allSettled(packages.map((each) => withNpm ? installByNpm(each) : installByDeno(each)));
  progress.end();
  const failed = ends.find((end) => end.status === "rejected");
  if (failed) throw failed.reason;
  for (const each of packages) {
    await Deno.writeTextFile(fromRoot(each.dir + "node_modules/.rbee-stamp"), await stampOf(each.dir));
  }
}

async function isNpmThere(): Promise<boolean> {
  try {
    return (await new Deno.Command("npm", { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

async function installByNpm(each: Package): Promise<void> {
  const folder = fromRoot(each.dir);
  const isNative = each.packs.length > 0;
  const kept = isNative ? await installedPacks(folder) : [];
  if (await textOrNull(folder + "node_modules/.rbee-stamp") !== await stampOf(each.dir)) {
    // --omit=optional: node-llama-cpp lists every GPU's libraries as optional, 744 MB together.
    await npm(folder, ["ci", ...(isNative ? ["--omit=optional"] : [])]);
  }
  if (!isNative) return;
  const manifest = JSON.parse(await Deno.readTextFile(folder + "package.json"));
  const version: string = manifest.dependencies["node-llama-cpp"];
  const wanted = [...new Set([...each.packs, ...kept])];
  const specs = wanted.map((pack) => `@node-llama-cpp/${pack}@${version}`);
  await npm(folder, ["install", "--no-save", "--no-package-lock", "--omit=optional", ...specs]);
  await comparePacks(folder, wanted);
}

async function installedPacks(folder: string): Promise<string[]> {
  const names: string[] = [];
  const home = folder + "node_modules/@node-llama-cpp";
  if (!(await exists(home))) return names;
  for await (const entry of Deno.readDir(home)) if (!entry.name.startsWith(".")) names.push(entry.name);
  return names;
}

/** A pack named on npm's command line is not held to the lock by npm itself: hold it here. */
async function comparePacks(folder: string, packs: readonly string[]): Promise<void> {
  const locked = JSON.parse(await Deno.readTextFile(folder + "package-lock.json")).packages;
  const installed = JSON.parse(await Deno.readTextFile(folder + "node_modules/.package-lock.json")).packages;
  for (const pack of packs) {
    const key = `node_modules/@node-llama-cpp/${pack}`;
    if (locked[key]?.integrity === installed[key]?.integrity) continue;
    await Deno.remove(folder + key, { recursive: true }).catch(() => {});
    throw new Error(`Cannot use @node-llama-cpp/${pack}: its digest differs from native/package-lock.json`);
  }
}

async function npm(folder: string, args: readonly string[]): Promise<void> {
  const child = new Deno.Command("npm", {
    args: [...args, ...QUIET],
    cwd: folder,
    // Few and short retries: npm's own would keep a machine without network waiting for over a minute.
    env: {
      npm_config_update_notifier: "false",
      npm_config_fetch_retries: "1",
      npm_config_fetch_retry_mintimeout: "1000",
      npm_config_fetch_retry_maxtimeout: "2000",
    },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
  const { success, stderr } = await child.output();
  if (success) return;
  throw new Error(explain(new TextDecoder().decode(stderr)));
}

/** Returns one message for npm's last words: what failed and what to type next. */
export function explain(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.replace(/^npm (error|ERR!) ?/, "").trim()).filter(Boolean);
  const isNetwork = /E(NOTFOUND|CONNREFUSED|CONNRESET|TIMEDOUT|AI_AGAIN|HOSTUNREACH|NETUNREACH)|EAI_AGAIN|network/.test(
    stderr,
  );
  if (isNetwork) {
    return "Cannot install the npm libraries: the npm registry is out of reach\n" +
      `  npm says: ${lines.find((line) => /request to|network/.test(line)) ?? lines[0] ?? "nothing"}\n` +
      "  Check the network, or name a registry you can reach: npm config set registry <url>\n" +
      "  Then type the same command again";
  }
  return `Cannot install the npm libraries: npm failed\n  ${lines.slice(0, 6).join("\n  ")}`;
}
