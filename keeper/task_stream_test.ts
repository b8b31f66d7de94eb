import assert from "node:assert/strict";
import { rbeeDialect } from "../protocol/dialects/rbee.ts";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import { readTask, type TaskEvent } from "./task_stream.ts";
import { endOf } from "./testdata/stand_in_queen.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const cut = () => {};

/** Returns a stream of these chunks, and all that is read from it. */
async function read(...chunks: string[]): Promise<TaskEvent[]> {
  const events: TaskEvent[] = [];
  for await (const event of readTask(ReadableStream.from(chunks.map(bytes)), { cut })) events.push(event);
  return events;
}

Deno.test("tokens that come in one chunk are one text, also around other events", async () => {
  const line = encodeJsonEvent({ actor: "q", action: "a", target: "t", human: "h" }, "narration");
  const events = await read(
    encodeJsonEvent({ task_id: "task-1", model: "m" }, "started") + line,
    rbeeDialect.token("a", 0) + rbeeDialect.token("b", 1) + line + rbeeDialect.token("", 2),
    rbeeDialect.token("c", 2),
    rbeeDialect.end(endOf(3)),
  );
  assert.deepEqual(events.map((event) => event.type === "text" ? `${event.text}:${event.tokens}` : event.type), [
    ...["started", "narration", "ab:2", "narration", ":3", "c:3", "end"],
  ]);
});

Deno.test("events cut anywhere between two chunks arrive whole", async () => {
  const whole = rbeeDialect.token("äö", 0) + rbeeDialect.end(endOf(1));
  for (let at = 1; at < whole.length; at++) {
    const events = await read(whole.slice(0, at), whole.slice(at));
    assert.deepEqual(events.map((event) => event.type), ["text", "end"]);
  }
});

Deno.test("an event of a name that is not known, and comments, are left out", async () => {
  const events = await read(
    ": keep-alive\n\n",
    encodeJsonEvent({ x: 1 }, "of-a-newer-queen"),
    rbeeDialect.end(endOf(0)),
  );
  assert.deepEqual(events.map((event) => event.type), ["end"]);
});

Deno.test("the error event is thrown as it was sent, with its cause", async () => {
  const cause = new RbeeError("PORT_TAKEN");
  const text = rbeeDialect.error(toErrorBody(new RbeeError("WORKER_START_FAILED", { details: { a: 1 }, cause })));
  await assert.rejects(read(text), (error: RbeeError) => {
    assert.equal(error.code, "WORKER_START_FAILED");
    assert.deepEqual(error.details, { a: 1 });
    assert.equal((error.cause as RbeeError).code, "PORT_TAKEN");
    return true;
  });
});

Deno.test("a stream without its terminal event is CONNECTION_LOST, one with an event that is no JSON INVALID_RESPONSE", async () => {
  await assert.rejects(read(rbeeDialect.token("a", 0)), { code: "CONNECTION_LOST" });
  await assert.rejects(read(), { code: "CONNECTION_LOST" });
  await assert.rejects(read(rbeeDialect.token("a", 0), "data: {oops\n\n"), { code: "INVALID_RESPONSE" });
  const broken = new ReadableStream({
    pull: () => Promise.reject(new TypeError("error reading a body from connection")),
  });
  await assert.rejects(readTask(broken, { cut }).next(), { code: "CONNECTION_LOST" });
});

Deno.test("what workers start ends with is its result", async () => {
  const events = await read(encodeJsonEvent({ worker_id: "worker-1" }) + doneText);
  assert.deepEqual(events, [{ type: "result", value: { worker_id: "worker-1" } }]);
});

Deno.test("a queen that is silent for too long is given up; comments are signs of life, and a slow reader is no silence", async () => {
  const reasons: Error[] = [];
  let out!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (c) => void (out = c) });
  const stream = readTask(body, { silenceMs: 120, cut: (reason) => (reasons.push(reason), out.error(reason)) });
  out.enqueue(bytes(rbeeDialect.token("a", 0)));
  assert.equal((await stream.next()).value?.type, "text");
  await new Promise((resolve) => setTimeout(resolve, 300)); // this reader is slow
  assert.equal(reasons.length, 0);
  const next = stream.next();
  next.catch(() => {});
  for (let n = 0; n < 5; n++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    out.enqueue(bytes(": keep-alive\n\n"));
  }
  assert.equal(reasons.length, 0);
  await assert.rejects(next, { code: "CONNECTION_LOST" });
});
