/**
 * A world for one test: its own home, configuration and ports, real executables in it, and nothing left afterwards.
 *
 * @module
 */
import { stringify } from "smol-toml";
import type { WorkerRecord } from "../../protocol/worker.ts";
import { workerKey } from "../../runtime/auth.ts";
import { exists } from "../../runtime/files.ts";
import { fromFileUrl, join } from "../../runtime/path.ts";
import { PLATFORM } from "../../runtime/version.ts";
import { eventually } from "./eventually.ts";
import { claimPorts, listeningPorts, type PortRange } from "./ports.ts";
import { killAll, type ProcessEntry, processesOf, programOf } from "./processes.ts";
import { type Finished, Program } from "./program.ts";
import { newTemporaryFolder, removeFolder } from "./temporary.ts";
import { onTerminal } from "./terminal.ts";

/** The executables under test. `rbee` is the keeper under its other name. */
export type Executable = "rbee" | "rbee-keeper" | "queen-rbee" | "rbee-hive" | "llm-worker-rbee";

/** How a program is started in a world. */
export interface StartOptions {
  stdin?: string | Uint8Array | "open";
  /** Added to the world's environment. */
  env?: Record<string, string>;
  cwd?: string;
  /** On a pty; its standard input is what is typed. */
  terminal?: boolean;
  /** A folder of other executables than those under test. */
  programs?: string;
}

/** A value as it came over the wire: a test says which keys it looks at, and compares what is there. */
export interface Wire {
  readonly [key: string]: Wire;
}

/** An answer of a daemon, parsed when it is JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Wire;
}

/** Where the executables lie. */
export const executables: string = fromFileUrl(new URL(`../../dist/${PLATFORM}/`, import.meta.url));

/** One test's world. */
export class World implements AsyncDisposable {
  /** Everything of this world lies here. */
  readonly root: string;
  /** Its `RBEE_HOME`. */
  readonly home: string;
  /** Its `HOME`. */
  readonly userHome: string;
  readonly ports: PortRange;
  readonly programs: Program[] = [];
  /** Added to the environment of whatever is started in it. */
  readonly env: Record<string, string> = {};
  readonly #config: Record<string, Record<string, unknown>>;
  readonly #closing: (() => Promise<void>)[] = [];

  constructor() {
    this.root = newTemporaryFolder();
    this.home = join(this.root, "r");
    this.userHome = join(this.root, "u");
    Deno.mkdirSync(this.userHome, { mode: 0o700 });
    this.ports = claimPorts();
    const { queen, hive, workerStart, workerEnd } = this.ports;
    this.#config = {
      queen: { port: queen },
      hive: { port: hive },
      workers: { port_start: workerStart, port_end: workerEnd },
    };
    this.configure({});
  }

  /** The user's configuration file. */
  get configFile(): string {
    return join(this.userHome, ".config/rbee/config.toml");
  }

  /** Adds keys to the configuration file and writes it; programs that run already do not read it again. */
  configure(tables: Record<string, Record<string, unknown>>): void {
    for (const [table, keys] of Object.entries(tables)) this.#config[table] = { ...this.#config[table], ...keys };
    this.writeConfig(stringify(this.#config));
  }

  /** Writes the configuration file as it is given. */
  writeConfig(text: string, path: string = this.configFile): void {
    Deno.mkdirSync(join(path, ".."), { recursive: true });
    Deno.writeTextFileSync(path, text);
  }

  /** The world's configuration as TOML text. */
  get configText(): string {
    return stringify(this.#config);
  }

  /** The whole environment of a program in this world: nothing of the machine's rbee, no Deno in PATH. */
  environment(extra: Record<string, string> = {}): Record<string, string> {
    return {
      HOME: this.userHome,
      RBEE_HOME: this.home,
      PATH: "/usr/local/bin:/usr/bin:/bin",
      LANG: "C.UTF-8",
      ...this.env,
      ...extra,
    };
  }

  /** Starts an executable. */
  start(program: Executable, args: readonly string[], options: StartOptions = {}): Program {
    const exe = executablePath(program, options.programs);
    const command = options.terminal ? onTerminal(exe, args) : { exe, args: [...args] };
    if (!command) throw new Error("Cannot give the program a terminal: there is neither python3 nor script");
    const started = new Program({
      ...command,
      cwd: options.cwd ?? this.userHome,
      env: this.environment({ ...(options.terminal ? { TERM: "xterm-256color" } : {}), ...options.env }),
      stdin: options.terminal ? options.stdin ?? "open" : options.stdin,
    });
    this.programs.push(started);
    return started;
  }

  /** Runs an executable to its end. Throws after 3 × `withinMs` (20 s). */
  async run(
    program: Executable,
    args: readonly string[],
    options: StartOptions & { withinMs?: number } = {},
  ): Promise<Finished> {
    return await this.start(program, args, options).ends(options.withinMs ?? 20_000);
  }

  /** Starts a queen that stays. Throws when that fails. */
  async up(): Promise<void> {
    const { code, stderr } = await this.run("rbee", ["up"]);
    if (code !== 0) throw new Error(`Cannot start a queen: ${stderr}`);
  }

  /** Ends the queen, when there is one, and all that is hers. Throws when that fails. */
  async down(): Promise<void> {
    const { code, stderr } = await this.run("rbee", ["down"], { withinMs: 30_000 });
    if (code !== 0) throw new Error(`Cannot end the queen: ${stderr}`);
  }

  /** Starts a hive by hand, as an operator does, and waits until it answers. */
  async startHive(): Promise<Program> {
    const hive = this.start("rbee-hive", ["daemon"]);
    await this.#answers(hive, () => this.hiveUrl(), "/v1/health");
    return hive;
  }

  /** Starts a queen by hand, as an operator does, and waits until she answers. */
  async startQueen(env: Record<string, string> = {}): Promise<Program> {
    const PATH = `${executables}:${this.env.PATH ?? "/usr/bin:/bin"}`;
    const queen = this.start("queen-rbee", ["daemon"], { env: { PATH, ...env } });
    await this.#answers(queen, () => this.queenUrl(), "/health");
    return queen;
  }

  /** The running queen's address, from `queen.json`. Throws when there is none. */
  queenUrl(): string {
    return this.#running("queen").url;
  }

  /** The running hive's address, from `hive.json`. Throws when there is none. */
  hiveUrl(): string {
    return this.#running("hive").url;
  }

  /** The running queen's process. */
  queenPid(): number {
    return this.#running("queen").pid;
  }

  /** The running hive's process. */
  hivePid(): number {
    return this.#running("hive").pid;
  }

  /** The bearer token of `queen` or `hive`, as it lies in the home; of a worker (by its id) as the hive derives it. */
  token(who: string): string {
    const read = (name: string) => Deno.readTextFileSync(join(this.home, `${name}.token`)).trim();
    return who === "queen" || who === "hive" ? read(who) : workerKey(read("hive"), who);
  }

  /** Calls a daemon of this world with its token and returns the whole answer. `path` begins with `/`. */
  async call(
    target: { who: string; url?: string },
    request: string,
    options: { body?: unknown; headers?: Record<string, string>; withinMs?: number } = {},
  ): Promise<Answer> {
    const response = await this.open(target, request, options);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") ?? false;
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} };
  }

  /** Like `call`, but returns the response with its body unread. `request` is `METHOD /path`. */
  async open(
    target: { who: string; url?: string },
    request: string,
    options: { body?: unknown; headers?: Record<string, string>; withinMs?: number; signal?: AbortSignal } = {},
  ): Promise<Response> {
    const [method, path] = request.split(" ");
    const url = target.url ?? (target.who === "queen" ? this.queenUrl() : this.hiveUrl());
    return await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token(target.who)}`,
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal ?? AbortSignal.timeout((options.withinMs ?? 10_000) * 3),
    });
  }

  /** The workers that the hive lists. */
  async workers(): Promise<WorkerRecord[]> {
    const { json } = await this.call({ who: "hive" }, "GET /v1/workers/list");
    return json.workers as unknown as WorkerRecord[];
  }

  /** The living processes of this world, whoever started them. */
  processes(program?: Executable): ProcessEntry[] {
    return processesOf(this.home).filter((p) => program === undefined || programOf(p) === program);
  }

  /** What still runs in this world: processes, and ports that something listens on. */
  living(): string[] {
    const mine = (port: number) => port >= this.ports.first && port <= this.ports.last;
    return [
      ...this.processes().map((p) => `process ${p.pid} ${p.args.join(" ").slice(0, 120)}`),
      ...listeningPorts().filter(mine).map((port) => `port ${port}`),
    ];
  }

  /** What is left of rbee in this world: what still runs, files of running daemons, SSH connections' sockets. Empty when all is gone. */
  leftovers(): string[] {
    return [
      ...this.living(),
      ...["queen.json", "hive.json"].filter((name) => exists(join(this.home, name))),
      ...namesIn(join(this.home, "workers")).map((name) => `workers/${name}`),
      ...namesIn(join(this.home, "s")).map((name) => `s/${name}`),
    ];
  }

  /** Resolves when nothing is left. Throws with what is, after 3 × `withinMs`. */
  async nothingLeft(withinMs: number): Promise<void> {
    await eventually(() => this.leftovers().length === 0, {
      withinMs,
      what: "nothing of ours is left",
      seen: () => this.leftovers().join(", "),
    });
  }

  /** Returns what happened, for the report of a failure. */
  report(): string {
    const programs = this.programs.map((p) => p.account());
    const logs = namesIn(join(this.home, "logs")).map((name) => {
      return `--- logs/${name}\n${Deno.readTextFileSync(join(this.home, "logs", name)).slice(-3_000)}`;
    });
    return ["=== what happened", ...programs, ...logs, `=== left: ${this.leftovers().join(", ") || "nothing"}`].join(
      "\n",
    );
  }

  /** Runs before this world ends: what else has to end with it. */
  atEnd(close: () => Promise<void>): void {
    this.#closing.push(close);
  }

  /** Kills and reaps everything, frees the ports, removes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const close of this.#closing) await close();
      await eventually(() => {
        const left = this.processes();
        killAll(left);
        return left.length === 0;
      }, { withinMs: 5_000, what: "every process of the world is dead", everyMs: 20 });
      await Promise.all(this.programs.map((p) => p.ends(5_000)));
    } finally {
      this.ports[Symbol.dispose]();
      removeFolder(this.root);
    }
  }

  #running(who: "queen" | "hive"): { pid: number; url: string } {
    return JSON.parse(Deno.readTextFileSync(join(this.home, `${who}.json`)));
  }

  async #answers(program: Program, url: () => string, path: string): Promise<void> {
    await eventually(async () => {
      if (!program.isRunning) return "ended" as const;
      const response = await fetch(url() + path);
      await response.body?.cancel();
      return response.ok;
    }, { withinMs: 10_000, what: `${program.name} answers`, seen: () => program.account() });
    if (!program.isRunning) throw new Error(`Cannot use ${program.name}: it has ended\n${program.account()}`);
  }
}

/** Returns the path of an executable, of those under test or in another folder. Throws when it was not compiled. */
export function executablePath(program: Executable, folder: string = executables): string {
  const path = join(folder, program);
  if (!exists(path)) throw new Error(`Cannot find ${path}: run \`deno task compile\` first`);
  return path;
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name);
  } catch {
    return [];
  }
}
