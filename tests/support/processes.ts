/**
 * The process table, read as a test needs it: which processes belong to a world, whoever started them and whoever has
 * adopted them since. Every rbee process has its world's `RBEE_HOME` in its environment. Linux: `/proc`.
 *
 * @module
 */

/** A living process. */
export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  /** One letter of `ps`: R running, S sleeping, T stopped, … */
  readonly state: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Returns the living processes whose `RBEE_HOME` is `home`. Zombies are not alive: they hold nothing. */
export function processesOf(home: string): ProcessEntry[] {
  return begun(living((pid) => environmentOf(pid).includes(`RBEE_HOME=${home}`)));
}

/** Returns the living processes whose `RBEE_HOME` lies in a folder. */
export function processesUnder(folder: string): ProcessEntry[] {
  return living((pid) => environmentOf(pid).some((pair) => pair.startsWith(`RBEE_HOME=${folder}/`)));
}

/** Returns one process; undefined when it is gone or a zombie. */
export function processOf(pid: number): ProcessEntry | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const [state, ppid, pgid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" || state === "X") return undefined;
    return {
      pid,
      ppid: Number(ppid),
      pgid: Number(pgid),
      state,
      args: zeroSeparated(`/proc/${pid}/cmdline`),
      environment: Object.fromEntries(zeroSeparated(`/proc/${pid}/environ`).map(splitAtEqualSign)),
    };
  } catch {
    return undefined; // it ended while we looked, or belongs to somebody else
  }
}

/** Returns whether a process exists and is no zombie. */
export function isAlive(pid: number): boolean {
  return processOf(pid) !== undefined;
}

/** Returns the name of the program that a process runs: the last part of its first argument. */
export function programOf(entry: ProcessEntry): string {
  return entry.args[0]?.split("/").at(-1) ?? "";
}

/** Kills every one of them; what has gone meanwhile is fine. */
export function killAll(entries: readonly ProcessEntry[]): void {
  for (const { pid } of entries) send(pid, "SIGKILL");
}

/** Sends a signal; returns whether there was a process (negative: a group) to take it. */
export function send(pid: number, signal: Deno.Signal): boolean {
  try {
    Deno.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Returns the living processes of another one's PID namespace, without that one; their ids are those seen from here. */
export function processesBeside(pid: number): ProcessEntry[] {
  const namespace = pidNamespace(pid);
  if (namespace === undefined) return [];
  return begun(living((other) => other !== pid && pidNamespace(other) === namespace));
}

function pidNamespace(pid: number): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined; // it has ended
  }
}

/** Returns the living processes of which `belongs` is true: the cheap look comes first, for there are many. */
function living(belongs: (pid: number) => boolean): ProcessEntry[] {
  return [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).map(({ name }) => Number(name))
    .flatMap((pid) => belongs(pid) ? processOf(pid) ?? [] : []);
}

const rbeePrograms = /(^|\/)(rbee|rbee-keeper|queen-rbee|rbee-hive|llm-worker-rbee(-\w+)?)$/;

/**
 * Leaves out a process of rbee that has only just been forked: until it becomes what it will be it goes by all of its
 * parent's arguments, and a hive that starts a worker was counted as two.
 */
function begun(entries: readonly ProcessEntry[]): ProcessEntry[] {
  const textOf = ({ args }: ProcessEntry) => args.join("\0");
  const programs = new Map(
    entries.filter(({ args }) => rbeePrograms.test(args[0] ?? "")).map((entry) => [entry.pid, textOf(entry)]),
  );
  return entries.filter((entry) => programs.get(entry.ppid) !== textOf(entry));
}

function environmentOf(pid: number): string[] {
  try {
    return zeroSeparated(`/proc/${pid}/environ`);
  } catch {
    return []; // it has ended, or belongs to somebody else
  }
}

function zeroSeparated(path: string): string[] {
  const parts = Deno.readTextFileSync(path).split("\0");
  if (parts.at(-1) === "") parts.pop();
  return parts;
}

function splitAtEqualSign(pair: string): [string, string] {
  const at = pair.indexOf("=");
  return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
}
