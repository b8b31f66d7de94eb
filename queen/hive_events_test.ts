import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { encodeJsonEvent } from "../protocol/sse.ts";
import { followHive } from "./hive_events.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";
import { StandInHive } from "./testdata/stand_in.ts";

const relaxed = { sanitizeResources: false, sanitizeOps: false };

/** Serves these pieces as a hive's events, then what `after` does. */
async function events(pieces: string[], after: (c: ReadableStreamDefaultController) => void, silentMs = 1_000) {
  const encoder = new TextEncoder();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    const body = new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(encoder.encode(piece));
        after(controller);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  });
  const heard: SchedulerEvent[] = [];
  const odd: string[] = [];
  const { ended } = await followHive({
    node: "local",
    peer: { program: "rbee-hive", base: `http://127.0.0.1:${server.addr.port}` },
    signal: new AbortController().signal,
    onEvent: (event) => heard.push(event),
    onOdd: (name) => odd.push(name),
    silentMs,
  });
  return { heard, odd, reason: await ended, stop: () => server.shutdown() };
}

Deno.test(
  "what a hive says becomes events, in its order; what cannot be read is named and skipped",
  relaxed,
  async () => {
    const narration = { actor: "rbee-hive", action: "model-load", target: "worker-1", human: "loading" };
    const { heard, odd, reason, stop } = await events([
      encodeJsonEvent(narration, "narration"),
      encodeJsonEvent({ what: 1 }, "status"),
      ": keep-alive\n\n",
      encodeJsonEvent({ worker_id: "worker-1", reason: "crashed" }, "worker-gone"),
    ], (c) => c.close());
    deepStrictEqual(heard.map((e) => e.type), ["hiveNarration", "workerGone"]);
    deepStrictEqual(odd, ["status"]);
    strictEqual(reason.code, "CONNECTION_LOST");
    await stop();
  },
);

Deno.test("a hive that says nothing, not even a comment, is lost", relaxed, async () => {
  const { reason, stop } = await events([": hello\n\n"], () => {}, 100);
  ok(reason.message.includes("has said nothing"), reason.message);
  void stop();
});

Deno.test("the first thing a hive says is its whole picture", relaxed, async () => {
  await using hive = new StandInHive();
  const cut = new AbortController();
  const first = Promise.withResolvers<SchedulerEvent>();
  const { ended } = await followHive({
    node: "local",
    peer: { program: "rbee-hive", base: hive.server.url, token: hive.token },
    signal: cut.signal,
    onEvent: first.resolve,
    onOdd: () => {},
  });
  strictEqual((await first.promise).type, "hiveStatus");
  await hive.server.stop(1);
  strictEqual((await ended).code, "CONNECTION_LOST");
});
