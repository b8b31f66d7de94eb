/**
 * Who may import whom: arrows go down only, programs never import each other, and each door of `native` is for one.
 *
 * @module
 */
import { isTest, lineAt, type SourceFile } from "./sources.ts";

/** The floor of each member, 1 at the bottom. */
export const FLOORS: Readonly<Record<string, number>> = {
  protocol: 1,
  native: 2,
  runtime: 3,
  keeper: 4,
  queen: 4,
  hive: 4,
  worker: 4,
  build: 5,
  tests: 5,
};

/** Which files of `native` a member may open. */
const DOORS: Readonly<Record<string, RegExp>> = {
  runtime: /^native\/libc/,
  worker: /^native\/(engine|llama)/,
  hive: /^native\/(gpu|gguf|memory|libc|tiny)/,
};

/** Files that decide and do nothing: they import `protocol` and each other only, and get time and chance as arguments. */
export const PURE =
  /^(protocol\/|queen\/(by_key|fairness|fetches|fleet|hives|install_facts|install_plan|known|loading_timeout|model_facts|model_messages|model_work|node_error|outbox|placement|placing|plan\.|prefixes|queue_bound|retry|scheduled_task|scheduler|shell_words|slot_wait|spawn_work|spawns|speeds|ssh_failure|ssh_names|worker_loads|worker_memory|workers)|hive\/(preflight|reservations))/;

/** Libraries that `protocol` may use: they do no I/O. */
const PROTOCOL_LIBRARIES = /^(zod|eventsource-parser)$/;

interface Import {
  readonly specifier: string;
  readonly line: number;
  /** A type alone: it is gone before anything runs. */
  readonly isType: boolean;
}

/** Returns one line for each import that goes where it may not. */
export function wrongImports(file: SourceFile): string[] {
  return importsOf(file).flatMap(({ specifier, line, isType }) => {
    const problem = specifier.startsWith(".")
      ? wrongArrow(file.path, resolve(file.path, specifier), isType)
      : wrongLibrary(file.path, specifier);
    return problem ? [`${file.path}:${line}: ${problem}`] : [];
  });
}

/** Returns one line for each circle of imports: whoever reads one of its files has to read all. */
export function importCircles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.filter(({ path }) => !isTest(path)).map((file) => [
      file.path,
      importsOf(file).filter((i) => i.specifier.startsWith(".")).map((i) => resolve(file.path, i.specifier)),
    ]),
  );
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (path: string, above: readonly string[]): void => {
    const at = above.indexOf(path);
    if (at >= 0) circles.push([...above.slice(at), path].join(" → "));
    if (at >= 0 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...above, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return circles;
}

function importsOf({ code }: SourceFile): Import[] {
  const found = code.matchAll(/(?:\b(?:import|export)\b(\s+type\b)?[^;"]*?\bfrom\s*|\bimport\s*\(?\s*)"([^"\n]+)"/g);
  return [...found].map((hit) => ({
    specifier: hit[2],
    line: lineAt(code, hit.index + hit[0].length),
    isType: hit[1] !== undefined,
  }));
}

function resolve(path: string, specifier: string): string {
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

function wrongArrow(from: string, to: string, isType: boolean): string | null {
  const here = from.split("/")[0];
  const there = to.split("/")[0];
  if (!(there in FLOORS)) return to === "deno.json" ? null : `imports ${to}, which is no member's`;
  if (isTest(from)) return null;
  if (here === there) return isType ? null : wrongPurity(from, to);
  if (FLOORS[there] > FLOORS[here]) return `imports ${to}: arrows go down only, ${there} lies above ${here}`;
  if (FLOORS[there] === 4 && FLOORS[here] === 4) return `imports ${to}: programs speak HTTP with each other`;
  if (FLOORS[there] === 5 && here !== "build") return `imports ${to}: nothing imports ${there}`;
  if (there === "native" && FLOORS[here] < 5 && !DOORS[here]?.test(to)) return `imports ${to}: not this member's door`;
  return isType ? null : wrongPurity(from, to);
}

function wrongPurity(from: string, to: string): string | null {
  return PURE.test(from) && !PURE.test(to) ? `imports ${to}: a pure file imports protocol and pure files only` : null;
}

function wrongLibrary(path: string, specifier: string): string | null {
  if (isTest(path)) return null;
  if (/^node-llama-cpp/.test(specifier) && !/^native\/llama/.test(path)) {
    return "imports node-llama-cpp: only native/llama*.ts knows it, everyone else sees Engine";
  }
  if (path.startsWith("protocol/") && !PROTOCOL_LIBRARIES.test(specifier)) {
    return `imports ${specifier}: protocol is pure, a browser page could import it`;
  }
  if (PURE.test(path) && !PROTOCOL_LIBRARIES.test(specifier)) return `imports ${specifier}: this file is pure`;
  if (/^(npm|jsr|https?):/.test(specifier)) return `imports ${specifier}: libraries go by bare name, package.json pins`;
  return null;
}

/**
 * Returns what is wrong with the picture of the floors in a README: each member has to stand on the line of its floor
 * (`floor 4 … keeper queen hive worker`).
 */
export function wrongFloorTable(readme: string): string[] {
  const lines = new Map<number, string>();
  for (const hit of readme.matchAll(/^.*\bfloor (\d)\b(.*)$/gim)) {
    lines.set(Number(hit[1]), (lines.get(Number(hit[1])) ?? "") + hit[2]);
  }
  return Object.entries(FLOORS).flatMap(([member, floor]) =>
    new RegExp(`\\b${member}\\b`).test(lines.get(floor) ?? "")
      ? []
      : [`README.md: no line "floor ${floor}" that names ${member}`]
  );
}
