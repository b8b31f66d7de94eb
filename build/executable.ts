/** Makes one executable: bundle, stage a clean folder, `deno compile` in a clean environment, move into place. */
import { bundle } from "./bundle.ts";
import type { Base } from "./denort.ts";
import { fromRoot } from "./files.ts";
import { packsOf } from "./packs.ts";
import { permissionFlags } from "./permissions.ts";
import type { Program } from "./programs.ts";

/** What every executable of one build shares. */
export interface Recipe {
  /** Where the executables go, absolute. */
  readonly out: string;
  readonly version: string;
  readonly commit: string;
  readonly base: Base;
  /** Text that `rbee --licenses` prints. */
  readonly licenses: string;
}

const COMPILE_MS = 120_000;

/** Native add-ons must be real files: only this kind unpacks itself, and keeps its code cache where it unpacks. */
const WORKER_KIND = ["--self-extracting"];

/**
 * The others would keep V8's code cache in /tmp under a name that anybody can guess, and V8 trusts what it finds there:
 * another user could place code for us to run. Costs 8 ms at each start.
 */
const PLAIN_KIND = ["--no-code-cache"];

/**
 * Queen and hive wait most of their lives. V8's own bound for young objects, 16 MB in each half, is what the queen still
 * held after a few thousand relayed tokens: 113 MB resident; with 1 MB it is 91, and no slower.
 */
const DAEMON_HEAP = ["--v8-flags=--max-semi-space-size=1"];

/** Where a program's files lie in its stage, and what `deno compile` has to embed. */
interface Layout {
  readonly bundle: string;
  readonly include: readonly string[];
  readonly external: readonly string[];
}

/** Makes the executable and returns the checkout's files that went in. Throws with the compiler's words. */
export async function makeExecutable(program: Program, recipe: Recipe): Promise<string[]> {
  const stage = `${recipe.out}/.stage-${Deno.pid}-${program.name}`;
  await Deno.mkdir(stage, { recursive: true });
  try {
    const layout = program.folder === "worker" ? await stageWorker(stage, program) : await stagePlain(stage);
    const inputs = await bundle({
      entry: `${program.folder}/main.ts`,
      outfile: `${stage}/${layout.bundle}`,
      external: layout.external,
      define: { RBEE_BUILD: JSON.stringify(buildConstant(program, recipe)) },
    });
    const assets = await stageAssets(`${stage}/${layout.bundle}`, program, recipe);
    await compile(stage, { program, recipe, layout, assets });
    await Deno.rename(`${stage}/made/${program.name}`, `${recipe.out}/${program.name}`);
    return [...inputs, ...program.assets.map((asset) => asset.source)];
  } finally {
    await Deno.remove(stage, { recursive: true }).catch(() => {});
  }
}

function buildConstant(program: Program, { version, commit }: Recipe): Record<string, string> {
  return { version, commit, backend: program.backend };
}

async function stagePlain(stage: string): Promise<Layout> {
  await Deno.writeTextFile(`${stage}/deno.json`, JSON.stringify({ nodeModulesDir: "none", workspace: [] }));
  return { bundle: "main.js", include: [], external: [] };
}

/** node-llama-cpp finds its own files relative to the bundle; this layout is the one it expects (its version too). */
async function stageWorker(stage: string, program: Program): Promise<Layout> {
  const library = fromRoot("native/node_modules/node-llama-cpp/");
  const { version } = JSON.parse(await Deno.readTextFile(`${library}package.json`));
  await Deno.writeTextFile(`${stage}/deno.json`, JSON.stringify({ nodeModulesDir: "manual", workspace: [] }));
  await Deno.writeTextFile(
    `${stage}/package.json`,
    JSON.stringify({ name: "node-llama-cpp", version, type: "module" }),
  );
  await Deno.mkdir(`${stage}/app/llama`, { recursive: true });
  for (const name of ["binariesGithubRelease.json", "llama.cpp.info.json", "package.json"]) {
    await Deno.copyFile(`${library}llama/${name}`, `${stage}/app/llama/${name}`);
  }
  const packs = new Set([...packsOf("cpu"), ...packsOf(program.backend)]);
  for (const pack of packs) {
    await copyTree(
      fromRoot(`native/node_modules/@node-llama-cpp/${pack}`),
      `${stage}/node_modules/@node-llama-cpp/${pack}`,
    );
  }
  return {
    bundle: "app/dist/worker.js",
    include: ["app/llama", "package.json", "node_modules/@node-llama-cpp"],
    external: ["@node-llama-cpp/*", "electron"],
  };
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.isDirectory) await copyTree(`${from}/${entry.name}`, `${to}/${entry.name}`);
    else await Deno.copyFile(`${from}/${entry.name}`, `${to}/${entry.name}`);
  }
}

/** Lays a program's assets beside its bundle and returns their paths as `--include` wants them. */
async function stageAssets(bundlePath: string, program: Program, recipe: Recipe): Promise<string[]> {
  const folder = bundlePath.slice(0, bundlePath.lastIndexOf("/") + 1);
  const paths: string[] = [];
  for (const { source, at } of program.assets) {
    await Deno.mkdir(`${folder}${at}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(fromRoot(source), folder + at);
    paths.push(folder + at);
  }
  if (program.folder === "keeper") {
    await Deno.writeTextFile(`${folder}licenses.txt`, recipe.licenses);
    paths.push(`${folder}licenses.txt`);
  }
  return paths;
}

interface CompileJob {
  readonly program: Program;
  readonly recipe: Recipe;
  readonly layout: Layout;
  readonly assets: readonly string[];
}

async function compile(stage: string, { program, recipe, layout, assets }: CompileJob): Promise<void> {
  const include = [...layout.include.map((path) => `${stage}/${path}`), ...assets];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["compile", "--quiet", "--no-check", ...permissionFlags(program.folder)],
      ...(program.folder === "worker" ? WORKER_KIND : PLAIN_KIND),
      ...(program.folder === "queen" || program.folder === "hive" ? DAEMON_HEAP : []),
      ...include.flatMap((path) => ["--include", path]),
      ...["--output", `${stage}/made/${program.name}`, layout.bundle],
    ],
    cwd: stage,
    // A clean environment: OTEL_* and the like of the building machine would be baked in.
    clearEnv: true,
    env: compilerEnvironment(recipe.base.path),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.timeout(COMPILE_MS),
  }).output();
  if (!success) throw new Error(`Cannot compile ${program.name}: ${new TextDecoder().decode(stderr).trim()}`);
}

function compilerEnvironment(base: string | null): Record<string, string> {
  const kept = ["HOME", "PATH", "DENO_DIR", "XDG_CACHE_HOME", "TMPDIR", "SSL_CERT_FILE", "HTTPS_PROXY"];
  const env: Record<string, string> = { NO_COLOR: "1", DENO_TLS_CA_STORE: "mozilla,system" };
  for (const name of kept) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  if (base) env.DENORT_BIN = base;
  return env;
}
