/**
 * Calls that belong to one place, each with what to use instead.
 *
 * @module
 */
import { PURE } from "./floors.ts";
import { isTest, lineAt, type SourceFile } from "./sources.ts";

/** A call that only some files may make. */
interface Ban {
  readonly call: RegExp;
  /** Files that may; tests may besides, unless `alsoInTests`. */
  readonly allowed: RegExp;
  readonly instead: string;
  readonly alsoInTests?: boolean;
  /** Only these files are looked at; absent: every TypeScript file. */
  readonly within?: RegExp;
}

const BANS: readonly Ban[] = [
  { call: /\bDeno\.dlopen\b/, allowed: /^native\//, instead: "native/: the only place that touches native code" },
  {
    call: /\bDeno\.Command\b|"node:child_process"/,
    allowed: /^(runtime\/process|build\/)/,
    instead: "startChild, startDaemon or runOnce of runtime/process.ts",
  },
  {
    call: /(?<![\w.#])fetch\(/,
    // Deno's own server is asked for denort with a deadline; that is the build's only request.
    allowed: /^(runtime\/call|hive\/(hub|download)|build\/denort\.ts)/,
    instead: "call or callStream of runtime/call.ts: deadline, retry, error body",
  },
  { call: /\bDeno\.env\b|\bprocess\.env\b/, allowed: /^(runtime\/|build\/)/, instead: "runtime/environment.ts" },
  {
    call: /\bconsole\.\w+\(/,
    allowed: /^(keeper\/render|build\/)/,
    instead: "narrate of runtime/log.ts; a person's words go through keeper/render.ts",
  },
  { call: /\bDeno\.serve\b/, allowed: /^runtime\/serve/, instead: "serve of runtime/serve.ts: auth, errors, drain" },
  {
    call: /(?<!import type [^;]*)"node:sqlite"/,
    allowed: /^runtime\/database/,
    instead: "openDatabase of runtime/database.ts",
  },
  { call: /\bDeno\.kill\(/, allowed: /^(runtime\/|build\/)/, instead: "the handle of whoever started the process" },
  {
    call: /\bDeno\.exit\(|\bprocess\.exit\(/,
    allowed: /^(runtime\/|build\/|\w+\/main\.ts$)/,
    instead: "return an exit code to runProgram of runtime/program.ts",
  },
  {
    call: /\bDeno\.addSignalListener\b/,
    allowed: /^(runtime\/|build\/)/,
    instead: "the program signal of runtime/program.ts",
  },
  {
    call: /["'`]data: ?[$"'`]/,
    allowed: /^protocol\/(sse|dialects\/)/,
    instead: "encodeEvent of protocol/sse.ts",
  },
  {
    call: /["'`]\/v[12]\//,
    allowed: /^protocol\/(queen|hive|worker)_routes/,
    instead: "a route of protocol/<program>_routes.ts: the only URL strings",
  },
  {
    call: /\b(AbortSignal\.timeout\(\d|setTimeout\([^;{}]{0,80}, ?[\d_]{2,}\))/,
    allowed: /^protocol\/limits/,
    instead: "a named limit of protocol/limits.ts",
  },
  {
    call: /\b(Date\.now|performance\.now|Math\.random|setTimeout|setInterval|crypto\.randomUUID|new Date\(\)|Deno\.)/,
    allowed: /^$/,
    within: PURE,
    instead: "an argument: time, chance and the world are handed to pure files",
  },
  {
    call: /(["'`])(?:(?!\1)[^\n])*registry\.(npmjs|yarnpkg)/,
    allowed: /^$/,
    alsoInTests: true,
    instead: "npm's own configuration",
  },
];

/** Returns one line for each banned call: where it is and what to use instead. */
export function bannedCalls(file: SourceFile): string[] {
  if (!file.path.endsWith(".ts")) return [];
  return BANS.flatMap((ban) => {
    if (ban.allowed.test(file.path)) return [];
    if (isTest(file.path) && !ban.alsoInTests) return [];
    if (ban.within && !ban.within.test(file.path)) return [];
    const hits = file.code.matchAll(new RegExp(ban.call, "g"));
    return [...hits].map((hit) =>
      `${file.path}:${lineAt(file.code, hit.index)}: ${hit[0].trim()} is banned here; use ${ban.instead}`
    );
  });
}

const MARKS = new RegExp(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].map((mark) => `\\b${mark}\\b`).join("|"));
const MACHINE_PATHS = new RegExp(`(^|["'\`\\s=(:])/(wo${"rk"}|ro${"ot"})/`);
const REGISTRY_HOSTS = new RegExp(`registry\\.(npm${"js"}|yarn${"pkg"})|"resolved": "http`);
const SILENCED = /deno-lint-ignore(-file)?(?!.*--)|@ts-(ignore|nocheck|expect-error)/;

/** Returns one line for each word that has no place in a committed file: open ends, this machine, a registry's host. */
export function bannedWords(file: SourceFile): string[] {
  const rules: [RegExp, string][] = [
    [MARKS, "do it now, or open an issue"],
    [MACHINE_PATHS, "a path of one machine"],
    [REGISTRY_HOSTS, "a registry's host: npm's configuration names it"],
    [SILENCED, "a silenced check needs a reason: `-- why`"],
  ];
  const isAbout = file.path.startsWith("tests/tidy");
  return file.text.split("\n").flatMap((line, index) =>
    rules.filter(([word]) => word.test(line) && !isAbout).map(([, why]) =>
      `${file.path}:${index + 1}: ${why}: ${line.trim()}`
    )
  );
}
