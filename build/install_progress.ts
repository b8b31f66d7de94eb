/** The bar of the first run: npm says nothing while it works, so this counts the libraries that have arrived. */
import type { Package } from "./packs.ts";
import { exists, fromRoot } from "./files.ts";

const REPAINT_MS = 200;
const BAR_COLUMNS = 30;

interface LockEntry {
  readonly optional?: boolean;
  readonly os?: readonly string[];
}

/** Starts the bar on stderr (nothing where stderr is no terminal); `end` removes it. */
export async function showProgress(packages: readonly Package[]): Promise<{ end: () => void }> {
  if (!Deno.stderr.isTerminal() || Deno.env.get("TERM") === "dumb") return { end: () => {} };
  const files = (await Promise.all(packages.map(expectedFiles))).flat();
  let isCounting = false;
  const timer = setInterval(async () => {
    if (isCounting) return;
    isCounting = true;
    paint((await Promise.all(files.map(exists))).filter(Boolean).length, files.length);
    isCounting = false;
  }, REPAINT_MS);
  return {
    end: () => {
      clearInterval(timer);
      write("\r\x1b[2K");
    },
  };
}

async function expectedFiles(each: Package): Promise<string[]> {
  const lock = JSON.parse(await Deno.readTextFile(fromRoot(each.dir + "package-lock.json")));
  const entries = Object.entries(lock.packages as Record<string, LockEntry>);
  const always = entries.filter(([path, entry]) => path !== "" && !entry.optional && !entry.os).map(([path]) => path);
  const packs = each.packs.map((pack) => `node_modules/@node-llama-cpp/${pack}`);
  return [...always, ...packs].map((path) => fromRoot(`${each.dir}${path}/package.json`));
}

function paint(done: number, total: number): void {
  const full = Math.floor((BAR_COLUMNS * done) / Math.max(1, total));
  write(`\r\x1b[2K[build] [${"#".repeat(full)}${"-".repeat(BAR_COLUMNS - full)}] ${done} of ${total} libraries`);
}

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
