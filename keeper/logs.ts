/**
 * `rbee logs` of this machine: reads the files themselves, so it works also when nothing runs any more.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";
import { join } from "../runtime/path.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { lastLines, LogFollower } from "./log_files.ts";
import { type LogLine, mergeLogs } from "./log_lines.ts";
import { type LogsOptions, printLog } from "./log_print.ts";

/** Whose lines stand in a file; every other file is named after its worker. */
const programs: Readonly<Record<string, string>> = { queen: "queen-rbee", hive: "rbee-hive" };

/** Carries out `rbee logs`. Returns 0. Following ends by Ctrl+C, whose reason is thrown. */
export async function logs(keeper: Keeper, options: LogsOptions): Promise<number> {
  const { node } = options;
  if (node !== undefined && node !== "local") {
    return await (await import("./node_logs.ts")).nodeLogs(keeper, { ...options, node });
  }
  const wanted = options.worker ?? options.program;
  const sources = logSources(keeper.paths.logs, wanted);
  if (options.worker !== undefined && sources.length === 0) {
    throw new RbeeError("WORKER_NOT_FOUND", {
      message: `Cannot show the log of ${options.worker}: there is none in ${keeper.paths.logs}`,
      hint: "See `rbee workers list`, or `rbee logs` for all of them",
    });
  }
  // The followers mark where they begin before the files are read: no line falls between, none comes twice.
  using followers = new Followers(keeper.paths.logs, wanted, options.follow ? sources : []);
  const count = options.lines ?? limits.logLinesDefault;
  const files = sources.map((source) =>
    lastLines(join(keeper.paths.logs, `${source}.log`), programs[source] ?? source, {
      count,
      endBytes: followers.startOf(source),
    })
  );
  const lines = mergeLogs(files, count);
  if (lines.length === 0 && !options.follow) keeper.render.note("rbee-keeper", `No log lines in ${keeper.paths.logs}`);
  await printLog(keeper, lines);
  if (!options.follow) return exitCodes.success;
  while (true) {
    await sleep(limits.logPollMs, keeper.signal);
    await printLog(keeper, followers.read());
  }
}

/** Returns the names of the logs to show, newest first: the one that is wanted, or all. */
function logSources(folder: string, wanted?: string): string[] {
  const found: { name: string; mtime: number }[] = [];
  try {
    for (const entry of Deno.readDirSync(folder)) {
      const name = entry.isFile ? entry.name.match(/^([A-Za-z0-9][A-Za-z0-9_-]*)\.log$/)?.[1] : undefined;
      if (name === undefined || (wanted !== undefined && name !== wanted)) continue;
      found.push({ name, mtime: Deno.statSync(join(folder, entry.name)).mtime?.getTime() ?? 0 });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // no folder: nothing was ever written
  }
  return found.sort((a, b) => b.mtime - a.mtime).slice(0, limits.logFilesReadMax).map((one) => one.name);
}

/** Follows every log that is wanted, those of workers that start meanwhile among them. */
class Followers implements Disposable {
  readonly #folder: string;
  readonly #wanted?: string;
  readonly #all = new Map<string, LogFollower>();

  constructor(folder: string, wanted: string | undefined, sources: readonly string[]) {
    this.#folder = folder;
    this.#wanted = wanted;
    for (const source of sources) this.#add(source, false);
  }

  #add(source: string, fromStart: boolean): void {
    this.#all.set(
      source,
      new LogFollower(join(this.#folder, `${source}.log`), programs[source] ?? source, { fromStart }),
    );
  }

  /** Returns where a log is followed from, in bytes; undefined when it is not. */
  startOf(source: string): number | undefined {
    return this.#all.get(source)?.startBytes;
  }

  /** Returns what came since the last call, in the order of time. */
  read(): LogLine[] {
    for (const source of logSources(this.#folder, this.#wanted)) {
      if (!this.#all.has(source)) this.#add(source, true);
    }
    return mergeLogs([...this.#all.values()].map((one) => one.read()), Infinity);
  }

  [Symbol.dispose](): void {
    for (const one of this.#all.values()) one[Symbol.dispose]();
  }
}
