/**
 * Waits until a node's hive is up, for those who want something of it apart from tasks.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { within } from "../runtime/process.ts";
import type { Effects } from "./effects.ts";
import type { HiveNews } from "./hive_news.ts";

/** Who is asked for a hive, and who tells of it. */
export interface HiveUpParts {
  readonly effects: Pick<Effects, "dispatch">;
  readonly news: HiveNews;
}

/** Asks the scheduler for a hive; resolves when it is up. Throws why it cannot be had, or `TIMEOUT`. */
export async function hiveUp(node: string, { effects, news }: HiveUpParts): Promise<void> {
  const outcome = Promise.withResolvers<void>();
  outcome.promise.catch(() => {}); // it may come too late
  using _listening = news.listen((one) => {
    if (one.node !== node) return;
    if (one.kind === "connected") outcome.resolve();
    else if (one.kind === "failed") outcome.reject(one.error);
  });
  effects.dispatch({ type: "hiveWanted", node });
  if (await within(outcome.promise, limits.hiveEnsureMs)) return await outcome.promise;
  throw new RbeeError("TIMEOUT", { message: `Cannot start the hive on ${node}: it did not come up` });
}
