import assert from "node:assert/strict";
import { limits } from "../protocol/limits.ts";
import type { Child, Ended } from "../runtime/process.ts";
import { stopWorker } from "./stop_ladder.ts";

/** A child that ends when it is told to, and notes how long it was given. */
function childThatEnds(): { child: Child; graces: (number | undefined)[] } {
  const graces: (number | undefined)[] = [];
  const ended = Promise.withResolvers<Ended>();
  const end = () => (ended.resolve({ code: 0, signal: "SIGTERM", cause: "terminated" }), ended.promise);
  const stop = (graceMs?: number) => (graces.push(graceMs), end());
  return { child: { pid: 1, ended: ended.promise, tail: () => "", kill: end, stop }, graces };
}

const peerAt = (port: number) => ({ program: "llm-worker-rbee", base: `http://127.0.0.1:${port}`, token: "k" });

Deno.test("a worker that does not answer at all when asked to end is given little time after SIGTERM", async () => {
  // takes connections and never answers, as a stopped process does: the kernel takes them for it
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const peer = peerAt(silent.addr.port);
  const { child, graces } = childThatEnds();
  await stopWorker(child, peer, { drain: true, ackMs: 150 });
  const impatient = childThatEnds();
  await stopWorker(impatient.child, peer, { drain: true, ackMs: 150, termGraceMs: 50 });
  assert.deepEqual([graces, impatient.graces], [[limits.termGraceSilentMs], [50]]);
  assert.ok(limits.termGraceSilentMs < limits.termGraceMs);
});

Deno.test("a worker that answers with a refusal lives, and keeps its whole time after SIGTERM", async () => {
  await using refusing = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    return Response.json({}, { status: 429 });
  });
  const { child, graces } = childThatEnds();
  await stopWorker(child, peerAt(refusing.addr.port), { drain: true, ackMs: 5_000 });
  assert.deepEqual(graces, [limits.termGraceMs]);
});

Deno.test("a worker that took the question and does not end in its time keeps its whole time after SIGTERM", async () => {
  await using slow = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    return Response.json({ status: "shutting_down" }, { status: 202 });
  });
  const { child, graces } = childThatEnds();
  await stopWorker(child, peerAt(slow.addr.port), { drain: true, drainMs: 300, ackMs: 5_000 });
  assert.deepEqual(graces, [limits.termGraceMs]);
});
