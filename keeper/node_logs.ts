/**
 * `rbee logs --node`: a log that lies on another machine, as the queen passes it on.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { callStream } from "../runtime/call.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { parseLog } from "./log_lines.ts";
import { type LogsOptions, printLog } from "./log_print.ts";
import { showNarration } from "./narration.ts";
import { withQueen } from "./queen_process.ts";
import type { Queen } from "./queen_probe.ts";

/** The flags, with the machine that is meant. */
export interface NodeLogsOptions extends LogsOptions {
  readonly node: string;
}

/** Carries out `rbee logs --node`. Returns 0; throws why when it was ended by Ctrl+C. Starts no hive. */
export async function nodeLogs(keeper: Keeper, options: NodeLogsOptions): Promise<number> {
  const { node } = options;
  if (options.program === "queen") {
    throw new RbeeError("USAGE", {
      message: `Cannot show a queen's log of ${node}: the queen runs on this machine`,
      hint: "rbee logs --program queen",
    });
  }
  keeper.aboutNode(node);
  return await withQueen(keeper, async ({ queen }) => {
    await print(keeper, await open(keeper, queen, options), options);
    return exitCodes.success;
  }, { idle: true });
}

/** Asks for the log. Shows how its machine is reached, when that takes a connection. */
async function open(keeper: Keeper, queen: Queen, options: NodeLogsOptions): Promise<ReadableStream<Uint8Array>> {
  const { node, worker, follow, lines } = options;
  await using _shown = await showNarration(keeper, queen.peer, (told) => {
    return told.action === "log-read" && told.target === node;
  });
  const stream = await callStream(queen.peer, queenRoutes.logs, {
    query: { node, worker, follow, lines },
    signal: keeper.signal,
    deadlineMs: limits.hiveEnsureMs,
    attempts: 1,
  });
  return stream.body;
}

async function print(keeper: Keeper, body: ReadableStream<Uint8Array>, options: NodeLogsOptions): Promise<void> {
  const source = options.worker ?? "rbee-hive";
  let atMs = 0;
  let isEmpty = true;
  try {
    for await (const text of wholeLines(body)) {
      const lines = parseLog(text, source, atMs);
      atMs = lines.at(-1)?.atMs ?? atMs;
      isEmpty &&= lines.length === 0;
      await printLog(keeper, lines);
    }
  } catch (cause) {
    if (keeper.signal.aborted || !(cause instanceof TypeError)) throw cause;
    throw new RbeeError("CONNECTION_LOST", {
      message: `Cannot follow the log on ${options.node} any further: the connection was lost`,
      hint: "See what is there: rbee status",
      cause,
    });
  }
  if (options.follow) {
    keeper.render.note("rbee-keeper", `The log on ${options.node} ends: its hive or the queen has ended`);
  } else if (isEmpty) keeper.render.note("rbee-keeper", `No log lines on ${options.node}`);
}

/** Yields text that ends with a line; a line without an end at last, or when it is longer than any of ours. */
export async function* wholeLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of body) {
    rest += decoder.decode(piece, { stream: true });
    const end = rest.length > limits.logRestCharsMax ? rest.length : rest.lastIndexOf("\n") + 1;
    if (end > 0) yield rest.slice(0, end);
    rest = rest.slice(end);
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}
