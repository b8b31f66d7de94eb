/**
 * `rbee config path|show|init`.
 *
 * @module
 */
import type { Config } from "../runtime/config.ts";
import { checkConfig } from "../runtime/config_schema.ts";
import { environment } from "../runtime/environment.ts";
import { dirname } from "../runtime/path.ts";
import { RbeeError } from "../protocol/error.ts";
import { exitCodes, type Keeper } from "./keeper.ts";

type Tables = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Carries out `rbee config path`: the file in use, or where one would be looked for. Returns 0. */
export async function configPath(keeper: Keeper): Promise<number> {
  const { render, paths } = keeper;
  const { file } = await keeper.config();
  if (render.json) await render.value({ file: file ?? null, candidates: paths.configFiles });
  else if (file !== undefined) await render.line(file);
  else {
    render.note("rbee-keeper", "No file is there: every key has its default. `rbee config init` writes this one:");
    await render.line(paths.configFiles[0]);
  }
  return exitCodes.success;
}

/** Carries out `rbee config show`. Returns 0. */
export async function configShow(keeper: Keeper): Promise<number> {
  const { render, paths } = keeper;
  const { config, file } = await keeper.config();
  if (render.json) await render.value({ file: file ?? null, config, sources: sourcesOf(config, file) });
  else {
    const from = file === undefined ? `no file (looked for ${paths.configFiles.join(", ")})` : file;
    await render.text(
      `# ${from}\n\n${configToml(config, (table, key) => `# ${sourceOf(config, { table, key, file })}`)}`,
    );
  }
  return exitCodes.success;
}

/** Carries out `rbee config init`. Returns 0, also when a file was there: it is left as it is. */
export async function configInit(keeper: Keeper): Promise<number> {
  const { render } = keeper;
  const path = keeper.paths.configFiles[0];
  const created = writeNewConfig(path, defaultFile());
  if (render.json) await render.value({ file: path, created });
  else {await render.line(
      created ? `✓ Wrote ${path}: every key is in it, as a comment` : `${path} was there already: left as it is`,
    );}
  return exitCodes.success;
}

/** Writes a configuration file and returns true, or false when one was there. Throws `HOME_NOT_WRITABLE`. */
export function writeNewConfig(path: string, text: string, mode = 0o600): boolean {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeTextFileSync(path, text, { createNew: true, mode });
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) return false;
    throw new RbeeError("HOME_NOT_WRITABLE", {
      message: `Cannot write ${path}: ${(cause as Error).message}`,
      hint: "Make the folder yours, or name another file: RBEE_CONFIG=/path/config.toml rbee config init",
      cause,
    });
  }
}

const optional: Readonly<Record<string, string>> = {
  "queen.token_file": '"/home/me/.rbee/my.token"',
  "hive.token_file": '"/home/me/.rbee/hive.token"',
  "hive.tls_cert": '"/etc/ssl/rbee/fullchain.pem"',
  "hive.tls_key": '"/etc/ssl/rbee/key.pem"',
  "hive.probe": '["/usr/local/bin/my-probe", "--json"]',
  "workers.ctx": "4096",
  "workers.threads": "4",
  "models.dir": '"/data/models"',
  "models.hf_endpoint": '"https://hf-mirror.com"',
  "models.aliases": '{ story = "file:/data/models/story.gguf" }',
  "remote.binary_path": '"/opt/rbee/bin/rbee-hive"',
  "remote.git_repo_dir": '"/opt/rbee/repo"',
};

/**
 * Returns the text of a configuration file in which every key stands as a comment with its default or an example; those
 * of `set` (`models.dir`) have their value.
 */
export function defaultFile(set: Readonly<Record<string, string>> = {}): string {
  const checked = checkConfig({});
  if (!("config" in checked)) throw new RbeeError("CONFIG_INVALID", { message: "Cannot use the defaults" });
  const lines = [
    "# rbee: every key with its default. Take a # away to change one. Flags and RBEE_<TABLE>_<KEY> win over this file.",
    "# Unknown keys and wrong types are errors.",
  ];
  for (const [table, keys] of Object.entries(checked.config as Tables)) {
    lines.push("", `[${table}]`);
    const shown = Object.entries(keys).filter(([key]) => optional[`${table}.${key}`] === undefined);
    for (const [key, value] of shown) lines.push(`# ${key} = ${toml(value)}`);
    for (const [name, example] of Object.entries(optional)) {
      const [of, key] = name.split(".");
      if (of !== table) continue;
      if (Object.hasOwn(set, name)) lines.push(`${key} = ${toml(set[name])}`);
      else lines.push(`# ${key} = ${example}  # an example; not set by default`);
    }
  }
  return lines.join("\n") + "\n";
}

/** Returns the configuration as TOML; `comment` is put behind each key. */
export function configToml(config: Readonly<Config>, comment: (table: string, key: string) => string): string {
  const blocks = Object.entries(config as unknown as Tables).map(([table, keys]) => {
    const lines = Object.entries(keys).filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key} = ${toml(value)}  ${comment(table, key)}`);
    return [`[${table}]`, ...lines].join("\n");
  });
  return blocks.join("\n\n") + "\n";
}

function toml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const pairs = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)} = ${toml(one)}`);
    return pairs.length > 0 ? `{ ${pairs.join(", ")} }` : "{}";
  }
  return JSON.stringify(value);
}

interface KeyOf {
  readonly table: string;
  readonly key: string;
  readonly file?: string;
}

/** Returns where a value comes from: an environment variable, the file, or the default. */
function sourceOf(config: Readonly<Config>, { table, key, file }: KeyOf): string {
  const variable = `RBEE_${table}_${key}`.toUpperCase();
  if (environment(variable) !== undefined) return variable;
  const checked = checkConfig({});
  const defaults = ("config" in checked ? checked.config : {}) as unknown as Tables;
  const value = (config as unknown as Tables)[table][key];
  return file === undefined || JSON.stringify(value) === JSON.stringify(defaults[table]?.[key]) ? "default" : file;
}

function sourcesOf(config: Readonly<Config>, file?: string): Record<string, string> {
  const all = Object.entries(config as unknown as Tables);
  return Object.fromEntries(
    all.flatMap(([table, keys]) =>
      Object.keys(keys).map((key) => [`${table}.${key}`, sourceOf(config, { table, key, file })])
    ),
  );
}
