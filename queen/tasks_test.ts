import { ok, rejects, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { submitTask } from "../protocol/task.ts";
import { readDetached, Tasks } from "./tasks.ts";

function bench() {
  const gone: string[] = [];
  const tasks: Tasks = new Tasks({ model: "builtin:tiny", aliases: {}, waitMs: 1_000 }, (id) => {
    gone.push(id);
    tasks.finish(id, { end: "cancelled", error: new RbeeError("REQUEST_CANCELED") });
  });
  return {
    tasks,
    gone,
    add: (more: object) => tasks.add(submitTask.parse({ prompt: "hi", ...more }), "correlation-1"),
  };
}

function reader() {
  const left = new AbortController();
  let text = "";
  const out: StreamWriter = {
    signal: left.signal,
    write(piece) {
      if (left.signal.aborted) return Promise.reject(left.signal.reason);
      text += typeof piece === "string" ? piece : new TextDecoder().decode(piece);
      return Promise.resolve();
    },
  };
  return { out, leave: () => left.abort(new Error("left")), text: () => text };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("a client that had left before its answer was waited for is noticed, too", async () => {
  const { add, gone } = bench();
  const task = add({ stream: false });
  await rejects(task.answer(AbortSignal.abort()), { code: "REQUEST_CANCELED" });
  strictEqual(gone[0], task.id);
});

Deno.test("a client that had left before its stream began is noticed, too", async () => {
  const { add, gone } = bench();
  const task = add({ stream: true });
  const { out, leave } = reader();
  leave();
  await rejects(task.follow(out), { message: "left" });
  strictEqual(gone[0], task.id);
});

Deno.test("a reader of a detached task gets each event when it comes, and ends with the task", async () => {
  const { tasks, add } = bench();
  const task = add({ detach: true });
  const { out, text } = reader();
  const reading = readDetached(task, out);
  for (const word of ["one", "two", "three"]) {
    await turn();
    await task.write(`data: ${word}\n\n`);
    await turn();
    ok(text().endsWith(`data: ${word}\n\n`), text());
  }
  tasks.finish(task.id, { end: "done" });
  await reading;
});

Deno.test("a reader of a detached task that leaves while nothing happens is let go at once", async () => {
  const { add } = bench();
  const { out, leave, text } = reader();
  const reading = readDetached(add({ detach: true }), out);
  await turn();
  ok(text().includes("started"));
  leave();
  await reading;
});
