/**
 * What `install_node.sh` says, read: lines that begin with `rbee-install: `, among whatever a login's own files print.
 * Pure.
 *
 * @module
 */
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import type { InstallBackend } from "../protocol/install.ts";

/** One program that lies on the node. */
export interface NodeFile {
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
}

/** What is known of a node before anything is changed on it. */
export interface NodeFacts {
  /** `linux-x64`, `macos-arm64`, …; others than ours are possible. */
  readonly platform: string;
  /** `glibc 2.36`, `musl`, `none`. */
  readonly libc: string;
  readonly gpu: InstallBackend | "none";
  /** Absolute. */
  readonly prefix: string;
  readonly home: string;
  readonly hostname: string;
  readonly diskFreeMb: number;
  /** Why the prefix can't be written; undefined when it can. */
  readonly notWritable?: string;
  /** What others put where rbee's things belong; undefined when nothing is in the way. */
  readonly foreign?: string;
  /** The version in use. */
  readonly current?: string;
  readonly tools: readonly string[];
  readonly hasService: boolean;
  /** What runs out of the prefix: `PID PROGRAM`. */
  readonly running: readonly string[];
  /** Programs of the version that was asked about. */
  readonly files: readonly NodeFile[];
  /** Programs that came whole and are not in use yet. */
  readonly incoming: readonly NodeFile[];
}

const prefix = "rbee-install: ";

/** Returns what a text of the script says, each line as its first word and the rest. */
export function installLines(text: string): [key: string, rest: string][] {
  return text.split(/\r?\n/).flatMap((line) => {
    if (!line.startsWith(prefix)) return [];
    const said = line.slice(prefix.length);
    const space = said.indexOf(" ");
    return [space < 0 ? [said, ""] : [said.slice(0, space), said.slice(space + 1)]];
  });
}

/** Returns the facts of `--action inspect`. Throws `INSTALL_FAILED` when they are not whole. */
export function readFacts(text: string): NodeFacts {
  const lines = installLines(text);
  const all = (key: string) => lines.flatMap(([name, rest]) => name === key ? [rest] : []);
  const one = (key: string) => {
    const [value] = all(key);
    if (value === undefined) throw unreadable(`it does not tell its ${key}`);
    return value;
  };
  if (!all("done").includes("inspect")) throw unreadable("it stopped half way");
  const writable = one("writable");
  const current = one("current");
  const [foreign] = all("foreign");
  return {
    platform: one("platform"),
    libc: one("libc"),
    gpu: gpuOf(one("gpu")),
    prefix: absolute(one("prefix")),
    home: one("home"),
    hostname: one("hostname"),
    diskFreeMb: Number(one("disk_free_mb")) || 0,
    ...(writable === "yes" ? {} : { notWritable: writable.replace(/^no ?/, "") || "no permission" }),
    ...(current === "none" ? {} : { current }),
    ...(foreign === undefined ? {} : { foreign: absolute(foreign) }),
    tools: one("tools").split(" ").filter(Boolean),
    hasService: one("service") === "yes",
    running: all("running"),
    files: all("file").map((rest) => fileOf(rest.slice(rest.indexOf(" ") + 1))),
    incoming: all("incoming").map(fileOf),
  };
}

function gpuOf(word: string): NodeFacts["gpu"] {
  return word === "cuda" || word === "vulkan" || word === "metal" ? word : "none";
}

function absolute(path: string): string {
  if (path.startsWith("/")) return path;
  throw unreadable("its folder is not absolute");
}

function fileOf(text: string): NodeFile {
  const match = text.match(/^([0-9a-f]{64}) (\d+) ([a-z0-9-]+)$/);
  if (!match) throw unreadable("a file's line is not whole");
  return { sha256: match[1], size: Number(match[2]), name: match[3] };
}

const unreadable = (why: string) =>
  new RbeeError("INSTALL_FAILED", { message: `Cannot read what the node says of itself: ${why}` });

/** Codes that the script may name; any other word of it is no code. */
const scriptCodes: readonly ErrorCode[] = [
  "CHECKSUM_MISMATCH",
  "DISK_FULL",
  "EXECUTABLES_NOT_FOUND",
  "HIVE_RUNNING",
  "INSTALL_FAILED",
  "INSTALL_PATH_NOT_WRITABLE",
  "INSUFFICIENT_DISK",
  "PLATFORM_NOT_AVAILABLE",
  "TOOLCHAIN_MISSING",
];

/** Returns what a person can do there, for codes whose own hint is about something else or needs the node's name. */
function hintFor(code: ErrorCode, node: string): string | undefined {
  switch (code) {
    case "CHECKSUM_MISMATCH":
      return "Run the command again; when it stays so, make the executables anew: deno task compile";
    case "DISK_FULL":
    case "INSUFFICIENT_DISK":
      return `Free space on ${node}, or use another folder: rbee setup update-node --name ${node} --install-path FOLDER`;
    case "INSTALL_PATH_NOT_WRITABLE":
      return `Use a folder that this login may write: rbee setup update-node --name ${node} --install-path FOLDER`;
    case "PLATFORM_NOT_AVAILABLE":
      return `Build it there: rbee setup install --node ${node} --from-source`;
    case "TOOLCHAIN_MISSING":
      return `Send the executables of this machine instead: rbee setup install --node ${node} --ship`;
    case "HIVE_RUNNING":
      return `End it first on ${node}, and what started it`;
  }
}

/** Returns the error for a run of the script that did not end well, as the node tells it. */
export function scriptError(node: string, result: { code: number; stdout: string; stderr: string }): RbeeError {
  const said = installLines(result.stdout).findLast(([key]) => key === "error")?.[1];
  const [word, ...rest] = said?.split(" ") ?? [];
  const code = scriptCodes.find((one) => one === word);
  if (code) {
    return new RbeeError(code, {
      message: `${rest.join(" ")} (on ${node})`,
      details: { node },
      hint: hintFor(code, node),
    });
  }
  const last = result.stderr.trim().split("\n").at(-1)?.replaceAll(/\p{Cc}/gu, "").slice(0, 300);
  return new RbeeError("INSTALL_FAILED", {
    message: `Cannot install on ${node}: the script ended with ${result.code}${last ? `: ${last}` : ""}`,
    details: { node },
    hint: `Log in there and see whether sh works`,
  });
}
