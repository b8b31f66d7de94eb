/**
 * `deno task compile`: the four executables, the link `rbee` and manifest.json in dist/<platform>/. Builds only what
 * changed; two at once are safe. Options: --version X, --out DIR, --backend cpu|cuda|vulkan.
 */
import { parseArgs } from "node:util";
import workspace from "../deno.json" with { type: "json" };
import { PLATFORM } from "../runtime/version.ts";
import { collectLicenses } from "../runtime/licenses.ts";
import { stopBundler } from "./bundle.ts";
import { commitOf } from "./commit.ts";
import { type Base, DENO_VERSION, findBase } from "./denort.ts";
import { ensureDependencies } from "./dependencies.ts";
import { makeExecutable, type Recipe } from "./executable.ts";
import { fromRoot, say } from "./files.ts";
import {
  type BuildRecord,
  describe,
  digestInputs,
  isOnDisk,
  readRecords,
  writeManifest,
  writeRecords,
} from "./manifest.ts";
import { BACKENDS, stampOf } from "./packs.ts";
import { permissionFlags } from "./permissions.ts";
import { type Program, programsFor } from "./programs.ts";

/** What to build; everything has a default. */
export interface CompileOptions {
  /** Another version string than the workspace's, for tests of programs that don't match. */
  readonly version?: string;
  /** Another folder than dist/<platform>. */
  readonly out?: string;
  /** `cuda` or `vulkan` adds that variant of the worker. */
  readonly backend?: string;
}

/**
 * Brings the executables up to date and returns their folder (absolute) and the names of those made now, empty when
 * nothing had changed. Throws with the compiler's words, or with what is missing on this machine.
 */
export async function compileAll(options: CompileOptions = {}): Promise<{ out: string; made: string[] }> {
  const version = options.version ?? workspace.version;
  const out = await realFolder(options.out ?? fromRoot(`dist/${PLATFORM}`));
  using lock = await Deno.open(`${out}/.lock`, { create: true, write: true });
  await lock.lock(true);
  const commit = await commitOf(fromRoot(""));
  const records = await readRecords(out);
  // A variant made once is kept up to date: a hive would start an old one, whose version no longer matches.
  const made = Object.values(records).map((record) => record.file.backend);
  const programs = programsFor([...made, options.backend ?? "cpu"]);
  const stale: Program[] = [];
  for (const program of programs) {
    const settings = await settingsOf(program, { version, commit });
    if (!(await isCurrent(out, { program, settings, record: records[program.name] }))) stale.push(program);
  }
  if (stale.length > 0) await build(stale, { out, version, commit, records });
  return { out, made: stale.map((program) => program.name) };
}

async function realFolder(path: string): Promise<string> {
  await Deno.mkdir(path, { recursive: true });
  return await Deno.realPath(path);
}

/** Everything that shapes an executable besides its own sources. */
async function settingsOf(program: Program, { version, commit }: { version: string; commit: string }): Promise<string> {
  const recipe = ["bundle", "executable", "permissions", "programs", "packs"].map((name) => `build/${name}.ts`);
  return JSON.stringify([
    version,
    commit,
    program,
    permissionFlags(program.folder),
    DENO_VERSION,
    await stampOf(""),
    await stampOf("native/"),
    await digestInputs([...recipe, "runtime/notices.txt", "LICENSE"], ""),
  ]);
}

interface Candidate {
  readonly program: Program;
  readonly settings: string;
  readonly record: BuildRecord | undefined;
}

async function isCurrent(out: string, { program, settings, record }: Candidate): Promise<boolean> {
  if (!record || !(await isOnDisk(out, program, record))) return false;
  return record.digest === await digestInputs(record.inputs, settings);
}

interface Build {
  readonly out: string;
  readonly version: string;
  readonly commit: string;
  readonly records: Record<string, BuildRecord>;
}

async function build(programs: readonly Program[], { out, version, commit, records }: Build): Promise<void> {
  await ensureDependencies(programs.map((program) => program.backend).filter((backend) => backend !== "cpu"));
  const base: Base = await findBase();
  say(`compiling ${programs.map((program) => program.name).join(", ")}; base: ${base.from}`);
  const recipe: Recipe = { out, version, commit, base, licenses: await collectLicenses() };
  const problems: string[] = [];
  try {
    await removeStages(out);
    for (const program of programs) {
      // One that can't be built keeps none of the others waiting.
      await buildOne(program, { recipe, records }).catch((error) => problems.push(String(error?.message ?? error)));
      await writeRecords(out, records);
    }
    if (problems.length > 0) throw new Error(problems.join("\n"));
    await linkKeeper(out);
    await writeManifest(out, records, { version, platform: PLATFORM });
  } finally {
    await stopBundler();
  }
}

interface OneBuild {
  readonly recipe: Recipe;
  readonly records: Record<string, BuildRecord>;
}

async function buildOne(program: Program, { recipe, records }: OneBuild): Promise<void> {
  // Taken before the bundle: a file that changes meanwhile then differs at the next build.
  const settings = await settingsOf(program, recipe);
  const inputs = await makeExecutable(program, recipe);
  const digest = await digestInputs(inputs, settings) ?? "";
  const file = await describe(`${recipe.out}/${program.name}`, program.backend);
  records[program.name] = { inputs, digest, file };
  if (program.folder === "worker") await unpackWorker(recipe.out, program);
}

/** A build that was killed leaves its stage; the lock says that nobody else is at work here. */
async function removeStages(out: string): Promise<void> {
  for await (const entry of Deno.readDir(out)) {
    if (/^\.stage-|\.part$/.test(entry.name)) await Deno.remove(`${out}/${entry.name}`, { recursive: true });
  }
}

/** Unpacks the worker's libraries once, here: workers that start together would all write the same files. */
async function unpackWorker(out: string, program: Program): Promise<void> {
  await Deno.remove(`${out}/.${program.name}`, { recursive: true }).catch(() => {});
  const { success, stderr } = await new Deno.Command(`${out}/${program.name}`, {
    args: ["--version"],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`Cannot start ${program.name}: ${new TextDecoder().decode(stderr).trim()}`);
}

async function linkKeeper(out: string): Promise<void> {
  const part = `${out}/rbee.${Deno.pid}.part`;
  await Deno.remove(part).catch(() => {});
  await Deno.symlink("rbee-keeper", part);
  await Deno.rename(part, `${out}/rbee`);
}

/** Reads the command line. Throws with a message for the person when it isn't understood. */
export function parseCompileArgs(args: readonly string[]): CompileOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ args: [...args], options: { version: text, out: text, backend: text } });
  if (values.backend !== undefined && !BACKENDS.includes(values.backend)) {
    throw new Error(`Cannot compile for backend ${values.backend}: choose one of ${BACKENDS.join(", ")}`);
  }
  if (values.version !== undefined && !/^\d+\.\d+\.\d+([-+][0-9A-Za-z.-]+)?$/.test(values.version)) {
    throw new Error(`Cannot compile version ${values.version}: it is no semantic version`);
  }
  return values;
}

if (import.meta.main) {
  const start = performance.now();
  try {
    const { out, made } = await compileAll(parseCompileArgs(Deno.args));
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(made.length === 0 ? `${out} is up to date (${seconds} s)` : `made ${made.join(", ")} in ${out} (${seconds} s)`);
  } catch (error) {
    say(`✗ ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
