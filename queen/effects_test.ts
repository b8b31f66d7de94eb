import { deepStrictEqual, ok } from "node:assert/strict";
import { parseText } from "../protocol/sse.ts";
import type { Log } from "../runtime/log.ts";
import { Effects } from "./effects.ts";
import type { HiveControl } from "./hive_control.ts";
import { Scheduler } from "./scheduler.ts";
import { Tasks } from "./tasks.ts";
import { noLog } from "./testdata/stand_in.ts";

/** Returns which effects were logged as failed, and whether the one after `ensureHive` was still carried out. */
async function outcome(ensure: () => Promise<void>): Promise<{ failed: unknown[]; narrated: boolean }> {
  const failed: unknown[] = [];
  const log: Log = { ...noLog, error: (_message, fields) => failed.push(fields?.effect) };
  const scheduler = new Scheduler({ nodes: ["local"], loadMs: 1_000, spawnMs: 1_000, random: () => 0 });
  const tasks = new Tasks({ model: "builtin:tiny", aliases: {}, waitMs: 1_000 }, () => {});
  const hives = new Map([["local", { ensure } as unknown as HiveControl]]);
  const effects = new Effects({ scheduler, tasks, hives, log, spawnMs: 1_000 });
  const task = tasks.addLoad({ model: "builtin:tiny" }, "correlation-1");
  effects.dispatch({ type: "taskSubmitted", wish: task.wish });
  await Promise.resolve();
  await Promise.resolve();
  effects.stop();
  const text = new TextDecoder().decode(task.journal.from(0));
  return { failed, narrated: parseText(text).some((event) => event.event === "narration") };
}

Deno.test("an effect that cannot be carried out is logged, and those after it still happen", async () => {
  const thrown = await outcome(() => {
    throw new Error("no hive today");
  });
  deepStrictEqual(thrown, { failed: ["ensureHive"], narrated: true });
});

Deno.test("an effect that fails later is logged as well, and is nobody's uncaught fault", async () => {
  const { failed, narrated } = await outcome(() => Promise.reject(new Error("no hive today")));
  deepStrictEqual(failed, ["ensureHive"]);
  ok(narrated);
});
