import { strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import type { Peer } from "../runtime/call.ts";
import { Journal } from "./journal.ts";
import { Relay } from "./relay.ts";

// Deno's own check for timers that a test leaves behind is what makes this one fail.
Deno.test("a relay that was asked to end and has ended leaves no timer behind", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const base = `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
  listener.close(); // a worker that is gone
  const sink = { journal: new Journal(1024), onFirstBytes() {}, write: () => Promise.resolve(), setAnswer() {} };
  const relay = new Relay({
    peer: Promise.resolve({ program: "llm-worker-rbee", base, token: "t", caller: "queen-rbee" }),
    worker: "worker-1",
    request: { prompt: "hi", request_id: "task-1", stream: true },
    sink,
    deadlineMs: 5_000,
  });
  const running = relay.run();
  await Promise.resolve(); // the way to the worker stands
  relay.stop("gently");
  strictEqual((await running).kind, "refused");
  await new Promise((resolve) => setTimeout(resolve, 100)); // for the call that asked the worker to end
});

Deno.test("a relay that is stopped while the way to its worker is being opened sends nothing there", async () => {
  const calls: string[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    calls.push(request.url);
    return new Response();
  });
  const way = Promise.withResolvers<Peer>();
  const sink = { journal: new Journal(1024), onFirstBytes() {}, write: () => Promise.resolve(), setAnswer() {} };
  const relay = new Relay({
    peer: way.promise,
    worker: "worker-1",
    request: { prompt: "hi", request_id: "task-1", stream: true },
    sink,
    deadlineMs: 5_000,
  });
  const running = relay.run();
  relay.stop("gently");
  const base = `http://127.0.0.1:${server.addr.port}`;
  way.resolve({ program: "llm-worker-rbee", base, token: "t", caller: "queen-rbee" });
  strictEqual((await running).kind, "stopped");
  strictEqual(calls.length, 0);
});

Deno.test("a worker to which no way can be had refuses the task with the reason", async () => {
  const sink = { journal: new Journal(1024), onFirstBytes() {}, write: () => Promise.resolve(), setAnswer() {} };
  const relay = new Relay({
    peer: Promise.reject(new RbeeError("CONNECTION_LOST")),
    worker: "worker-1",
    request: { prompt: "hi", request_id: "task-1", stream: true },
    sink,
    deadlineMs: 5_000,
  });
  const end = await relay.run();
  strictEqual(end.kind === "refused" && end.error.code, "CONNECTION_LOST");
});
