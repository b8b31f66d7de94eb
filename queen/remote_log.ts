/**
 * A log of a node, read over SSH: it is there also when no hive runs that could be asked.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { within } from "../runtime/process.ts";
import type { ProcessStream } from "../runtime/process_stream.ts";
import { scriptLine } from "./shell_words.ts";

/** Which log, and how much of it. */
export interface LogWish {
  readonly node: string;
  /** A checked id; absent: the hive's own log. */
  readonly worker?: string;
  readonly lines: number;
  readonly follow: boolean;
}

/** The shell of a node, for commands whose output is read as it comes. */
export interface StreamingShell {
  /** Throws what `RemoteShell.run` throws before the command has begun. */
  stream(command: string, options: { input: string }): ProcessStream;
  /** Returns why the way there is gone, in bounded time; undefined while it stands. */
  whyGone(): Promise<RbeeError | undefined>;
}

/** Returns the command line and its standard input. */
export function logCommand({ worker, lines, follow }: LogWish): { command: string; input: string } {
  return { command: scriptLine([worker ?? "hive", String(lines), follow ? "yes" : "no"]), input: script() };
}

let text: string | undefined;
const script = () => text ??= Deno.readTextFileSync(new URL("./read_log.sh", import.meta.url));

/**
 * Returns the log's bytes as they come, read at the reader's pace; they end with the log, or (following) with the
 * signal. Throws `WORKER_NOT_FOUND`, `TEMPORARY_UNAVAILABLE` when there is no log, and why the node cannot be reached.
 */
export async function openRemoteLog(
  shell: StreamingShell,
  wish: LogWish,
  signal: AbortSignal,
): Promise<AsyncGenerator<Uint8Array>> {
  const { command, input } = logCommand(wish);
  const process = shell.stream(command, { input });
  const stop = () => process.stop();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const reader = process.stdout.getReader();
  const head = readHead(reader);
  const inTime = await within(head, limits.sshLoginMs);
  const first = inTime ? await head.catch(() => undefined) : undefined;
  if (first?.found) return rest(first.rest);
  stop();
  reader.cancel().catch(() => {});
  signal.throwIfAborted();
  if (first) throw noLog(wish);
  const { stderr } = await process.ended;
  throw await shell.whyGone() ?? notReadable(wish, stderr);

  async function* rest(piece: Uint8Array): AsyncGenerator<Uint8Array> {
    try {
      if (piece.length > 0) yield piece;
      for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
      const { code, stderr } = await process.ended;
      if (code === 0 || signal.aborted) return;
      throw await shell.whyGone() ?? notReadable(wish, stderr);
    } finally {
      signal.removeEventListener("abort", stop);
      stop();
      reader.cancel().catch(() => {});
    }
  }
}

type Head = { found: boolean; rest: Uint8Array };

/** Reads up to the script's own first line: whatever comes before it was printed by rc files. */
async function readHead(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Head | undefined> {
  let bytes = new Uint8Array(0);
  while (bytes.length < limits.sshNoiseBytesMax) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    bytes = new Uint8Array([...bytes, ...value]);
    const head = headOf(bytes);
    if (head) return head;
  }
}

/** Returns what the first line of the script says, and what follows it; undefined while it is not there. */
export function headOf(bytes: Uint8Array): Head | undefined {
  // One character a byte, so that a place in the text is a place in the bytes.
  const match = new TextDecoder("latin1").decode(bytes).match(/(?:^|\n)rbee-log: (ok|none)\r?\n/);
  return match ? { found: match[1] === "ok", rest: bytes.subarray(match.index! + match[0].length) } : undefined;
}

function noLog({ node, worker }: LogWish): RbeeError {
  if (worker === undefined) {
    return new RbeeError("NOT_FOUND", {
      message: `Cannot show the log of the hive on ${node}: it has not written one yet`,
      details: { node },
      hint: `Start it: rbee hive start --node ${node}`,
    });
  }
  return new RbeeError("WORKER_NOT_FOUND", {
    message: `Cannot show the log of ${worker}: there is none on ${node}`,
    details: { node, worker_id: worker },
    hint: `See \`rbee workers list\`, or \`rbee logs --node ${node}\` for its hive's`,
  });
}

function notReadable({ node }: LogWish, stderr: string): RbeeError {
  const why = stderr.trim().split("\n").at(-1)?.slice(0, 200).replaceAll(/\p{Cc}/gu, "") || "no shell answered";
  return new RbeeError("NODE_UNREACHABLE", {
    message: `Cannot read the log on ${node}: ${why}`,
    details: { node },
    hint: `Log in and see whether sh works: rbee setup test-node --name ${node}`,
  });
}
