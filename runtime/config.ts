/**
 * Loads the configuration once: defaults < file < environment < flags; checked, frozen, handed over.
 *
 * @module
 */
import { parse as parseToml, TomlError } from "smol-toml";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { checkConfig, type Config, type ConfigTables, refuse, valueFromText } from "./config_schema.ts";
import { environmentWithPrefix } from "./environment.ts";
import type { Paths } from "./paths.ts";

export type { Config } from "./config_schema.ts";

/** The configuration, and the file it came from (undefined: defaults). */
export interface LoadedConfig {
  readonly config: Readonly<Config>;
  readonly file?: string;
}

/** Environment variables for keys: `RBEE_` + table + `_` + key. Others with that prefix mean something else. */
const tables = ["queen", "hive", "workers", "infer", "models", "log"] as const;
const notKeys: ReadonlySet<string> = new Set(["RBEE_QUEEN_TOKEN", "RBEE_HIVE_TOKEN", "RBEE_QUEEN_URL"]);

/**
 * Returns the configuration of this user. `flags` win over everything.
 * Throws `CONFIG_INVALID` that names the key, the file and the line.
 */
export function loadConfig(paths: Paths, flags: ConfigTables = {}): LoadedConfig {
  const found = readFirst(paths.configFiles);
  const fromEnvironment = environmentTables(environmentWithPrefix("RBEE_"));
  const merged = merge(found?.tables ?? {}, fromEnvironment, flags);
  const result = checkConfig(merged);
  if ("config" in result) return Object.freeze({ config: freeze(result.config), file: found?.path });
  const problem = result.problems[0];
  const [table, key] = problem.path;
  const inLayer = (layer: ConfigTables) => key !== undefined && layer[table]?.[key] !== undefined;
  if (inLayer(flags)) refuse(problem, `--${key.replaceAll("_", "-")}`, {});
  if (inLayer(fromEnvironment)) refuse(problem, `RBEE_${table}_${key}`.toUpperCase(), {});
  const line = found ? lineOf(found.text, problem.path) : undefined;
  refuse(problem, `${found?.path ?? "the defaults"}${line ? ` line ${line}` : ""}`, { file: found?.path, line });
}

interface Found {
  path: string;
  text: string;
  tables: ConfigTables;
}

function readFirst(files: readonly string[]): Found | undefined {
  for (const path of files) {
    const text = readText(path, files.length === 1);
    if (text !== undefined) return { path, text, tables: parseTables(path, text) };
  }
}

function readText(path: string, mustExist: boolean): string | undefined {
  try {
    const info = Deno.statSync(path);
    if (!info.isFile || info.size > limits.configFileBytesMax) throw new RangeError("it is no file of reasonable size");
    return Deno.readTextFileSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound && !mustExist) return undefined;
    const why = cause instanceof Deno.errors.NotFound ? "it does not exist" : (cause as Error).message;
    throw new RbeeError("CONFIG_INVALID", {
      message: `Cannot read the configuration ${path}: ${why}`,
      details: { file: path },
      hint: mustExist ? "RBEE_CONFIG names this file: correct or unset it" : undefined,
      cause,
    });
  }
}

function parseTables(path: string, text: string): ConfigTables {
  try {
    return parseToml(text) as ConfigTables;
  } catch (cause) {
    const line = cause instanceof TomlError ? cause.line : undefined;
    const why = (cause as Error).message.split("\n")[0];
    throw new RbeeError("CONFIG_INVALID", {
      message: `Cannot read ${path}${line ? ` line ${line}` : ""}: ${why}`,
      details: { file: path, line },
      cause,
    });
  }
}

function environmentTables(variables: Record<string, string>): ConfigTables {
  const found: ConfigTables = {};
  for (const [name, raw] of Object.entries(variables)) {
    if (notKeys.has(name) || raw === "") continue;
    const table = tables.find((t) => name.startsWith(`RBEE_${t.toUpperCase()}_`));
    if (table === undefined) continue;
    const key = name.slice(`RBEE_${table}_`.length).toLowerCase();
    (found[table] ??= {})[key] = valueFromText(raw);
  }
  return found;
}

function merge(...layers: ConfigTables[]): ConfigTables {
  const all: ConfigTables = {};
  for (const layer of layers) {
    for (const [table, keys] of Object.entries(layer)) {
      // what is no table stays as it is, so that the check finds it
      all[table] = isTable(keys) && isTable(all[table] ?? {})
        ? { ...all[table], ...defined(keys) }
        : all[table] ?? keys;
    }
  }
  return all;
}

const isTable = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);

const defined = (keys: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined));

/** Returns the 1-based line of a key in TOML text. smol-toml keeps no positions; a scan is enough for a message. */
function lineOf(text: string, path: string[]): number | undefined {
  const [table, key] = path;
  let current = "";
  let tableLine: number | undefined;
  for (const [at, line] of text.split("\n").entries()) {
    const header = line.match(/^\s*\[+\s*"?([^\]"]+?)"?\s*\]+/);
    if (header) {
      current = header[1];
      if (current.split(".")[0] === table) tableLine ??= at + 1;
    }
    const assigned = line.match(/^\s*"?([\w.-]+)"?\s*=/)?.[1];
    if (assigned === undefined) continue;
    const full = current ? `${current}.${assigned}` : assigned;
    if (full === `${table}.${key}` || (current === "" && assigned === table)) return at + 1;
  }
  return tableLine;
}

function freeze<T extends object>(value: T): Readonly<T> {
  for (const inner of Object.values(value)) if (typeof inner === "object" && inner !== null) freeze(inner);
  return Object.freeze(value);
}
