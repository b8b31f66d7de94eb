/**
 * What `start_hive.sh` is told and what it tells. Pure but for reading the script itself.
 *
 * @module
 */
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { StopResult } from "./hive_access.ts";
import type { RemoteResult } from "./remote_shell.ts";
import { startFailure } from "./hive_start_failure.ts";
import { scriptLine } from "./shell_words.ts";

/** Which hive on a node is meant. */
export interface RemoteHiveFacts {
  readonly node: string;
  /** Its name or address in the network. */
  readonly host: string;
  /** Absolute there, or below the home by `~/`. */
  readonly exe: string;
  readonly hivePort: number;
  readonly workerPortStart: number;
  readonly workerPortEnd: number;
}

/** A hive that runs on a node. */
export interface RemoteRunning {
  readonly how: "found" | "started";
  readonly pid: number;
  /** On the node's loopback. */
  readonly port: number;
  readonly version: string;
  /** Absent when its file cannot be read: its operator gave it another token. */
  readonly token?: string;
  /** Whether it ends with the queen that started it. */
  readonly leased: boolean;
}

/** Returns the command line and its standard input. */
export function startCommand(
  action: "find" | "start" | "stop",
  facts: RemoteHiveFacts,
): { command: string; input: string } {
  const { exe, hivePort, workerPortStart, workerPortEnd } = facts;
  const seconds = (action === "stop" ? limits.termGraceMs : limits.hiveStartMs) / 1_000;
  const words = [action, exe, ...[hivePort, workerPortStart, workerPortEnd, seconds].map(String)];
  return { command: scriptLine(words), input: script() };
}

let text: string | undefined;
const script = () => text ??= Deno.readTextFileSync(new URL("./start_hive.sh", import.meta.url));

const toldBy = (stdout: string) =>
  new Map(
    stdout.split("\n").flatMap((line) => {
      const match = line.match(/^rbee-start: (\S+) ?(.*?)\r?$/);
      return match ? [[match[1], match[2]] as const] : [];
    }),
  );

/** Returns how the script ended the hive. Throws why it could not. */
export function readStopped(facts: RemoteHiveFacts, { code, stdout, stderr }: RemoteResult): StopResult {
  const told = toldBy(stdout);
  const how = (["stopped", "killed", "none"] as const).find((word) => told.has(word));
  if (how) return how;
  throw new RbeeError("SSH_SHELL_UNUSABLE", {
    message: `Cannot end the hive on ${facts.node}: ${lastWords(code, stdout, stderr)}`,
    details: { node: facts.node },
    hint: `Log in and see whether sh works: rbee setup test-node --name ${facts.node}`,
  });
}

const lastWords = (code: number, stdout: string, stderr: string) =>
  (stderr.trim() || stdout.trim()).split("\n").at(-1)?.slice(0, 200) || `it ended with exit code ${code}`;

/** Returns what the script found or started; undefined when none runs (or none does any more). Throws why it could not. */
export function readStarted(facts: RemoteHiveFacts, { code, stdout, stderr }: RemoteResult): RemoteRunning | undefined {
  const told = toldBy(stdout);
  if (told.has("none") || told.has("stopped") || told.has("killed")) return undefined;
  const running = told.get("running");
  if (running === undefined) throw whyNot(facts, told, { code, stdout, stderr });
  const { pid, url, version } = parsed(running);
  return {
    how: told.has("started") ? "started" : "found",
    pid,
    port: Number(new URL(url).port),
    version,
    token: told.get("token") || undefined,
    leased: told.has("leased"),
  };
}

function parsed(json: string): { pid: number; url: string; version: string } {
  try {
    const { pid, url, version } = JSON.parse(json);
    if (Number.isInteger(pid) && URL.canParse(url) && typeof version === "string") return { pid, url, version };
  } catch {
    // said below
  }
  throw new RbeeError("INVALID_RESPONSE", { message: "Cannot understand the hive.json of that machine" });
}

/** SIGILL, SIGBUS and SIGSEGV: of another kind of machine, or cut off. */
const programFaults = [4, 7, 11];

function whyNot(facts: RemoteHiveFacts, told: Map<string, string>, { code, stdout, stderr }: RemoteResult): RbeeError {
  const { node, exe } = facts;
  const failed = (message: string, hint: string, errorCode: ErrorCode = "HIVE_START_FAILED") =>
    new RbeeError(errorCode, { message: `Cannot start the hive on ${node}: ${message}`, details: { node }, hint });
  if (told.has("missing")) {
    const hint = `Install it: rbee setup install --node ${node}`;
    return failed(`rbee is not installed there (${exe})`, hint, "NODE_NOT_INSTALLED");
  }
  const unwritable = told.get("unwritable");
  if (unwritable !== undefined) {
    const isFull = /No space left|quota/i.test(unwritable);
    return failed(
      unwritable || "its home cannot be written",
      isFull ? `Free space on ${node} and try again` : `Make ~/.rbee on ${node} writable`,
      isFull ? "DISK_FULL" : "HOME_NOT_WRITABLE",
    );
  }
  if (told.has("late")) {
    return failed(`it did not listen within ${limits.hiveStartMs / 1_000} s`, `See rbee logs --node ${node}`);
  }
  const died = told.get("died");
  if (died !== undefined) {
    // A shell's code for a signal is 128 and its number.
    const signal = Number(died) > 128 ? `number ${Number(died) - 128}` : null;
    const error = startFailure(stderr, { code: Number(died), signal, cause: "exited" });
    const message = error.message.replace("the hive:", `the hive on ${node}:`);
    // Its own error tells what mends it. What else ends before it listens is no hive of ours, unless somebody killed it.
    const isWrong = signal === null || programFaults.includes(Number(died) - 128);
    const otherwise = isWrong ? `Install it anew: rbee setup install --node ${node}` : `See rbee logs --node ${node}`;
    const hint = error.cause ? error.hint : otherwise;
    return new RbeeError(error.code, { message, details: { ...error.details, node }, hint, cause: error.cause });
  }
  const said = lastWords(code, stdout, stderr);
  return failed(said, `Log in and see whether sh works: rbee setup test-node --name ${node}`, "SSH_SHELL_UNUSABLE");
}
