import { strictEqual } from "node:assert/strict";
import { Journal } from "./journal.ts";
import { Relay } from "./relay.ts";

// Deno's own check for timers that a test leaves behind is what makes this one fail.
Deno.test("a relay that was asked to end and has ended leaves no timer behind", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const base = `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
  listener.close(); // a worker that is gone
  const sink = { journal: new Journal(1024), onFirstBytes() {}, write: () => Promise.resolve(), setAnswer() {} };
  const relay = new Relay({
    peer: { program: "llm-worker-rbee", base, token: "t", caller: "queen-rbee" },
    worker: "worker-1",
    request: { prompt: "hi", request_id: "task-1", stream: true },
    sink,
    deadlineMs: 5_000,
  });
  const running = relay.run();
  relay.stop("gently");
  strictEqual((await running).kind, "refused");
  await new Promise((resolve) => setTimeout(resolve, 100)); // for the call that asked the worker to end
});
