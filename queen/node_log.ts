/**
 * A log of a node, wherever it can be had: from its hive, else over SSH from the file. The bytes are passed on as they
 * are, at the reader's pace.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { callStream } from "../runtime/call.ts";
import type { HiveNews } from "./hive_news.ts";
import { type LogWish, openRemoteLog } from "./remote_log.ts";
import type { Roster } from "./roster.ts";

/** Returns the log's bytes; they end with the log or with the signal. Throws why it cannot be read. */
export async function openNodeLog(
  parts: { hives: Roster; news: HiveNews },
  wish: LogWish,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const { hives, news } = parts;
  const peer = hives.get(wish.node)?.peer;
  if (peer) {
    try {
      const { worker, lines, follow } = wish;
      const query = { worker, lines, follow };
      return (await callStream(peer, hiveRoutes.logs, { query, signal, attempts: 1 })).body;
    } catch (thrown) {
      signal.throwIfAborted();
      if (!toRbeeError(thrown).code.startsWith("CONNECTION_") || !hives.isRemote(wish.node)) throw thrown;
      // It has gone just now; its files are still there.
    }
  }
  if (!hives.isRemote(wish.node)) {
    throw new RbeeError("NODE_UNREACHABLE", {
      message: `Cannot read the log on ${wish.node}: its hive is not connected`,
      details: { node: wish.node },
      hint: "On this machine `rbee logs` reads the files themselves",
    });
  }
  const link = hives.link(wish.node);
  const say = (human: string) =>
    news.tell(wish.node, { actor: "queen-rbee", action: "log-read", target: wish.node, human });
  const master = await link.connect(say);
  return await openRemoteLog(master, wish, signal);
}
