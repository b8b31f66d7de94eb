import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { rbeeDialect } from "../protocol/dialects/rbee.ts";
import { parseText } from "../protocol/sse.ts";
import { BenchQueen } from "./testdata/bench_queen.ts";
import { endOf, StandInHive, wholeAnswer } from "./testdata/stand_in.ts";

// The client of `fetch` keeps connections for the next request; they are nobody's leak.
const relaxed = { sanitizeResources: false, sanitizeOps: false };

const names = (text: string) => parseText(text).map((e) => e.event ?? (e.id === undefined ? "end" : "token"));
const until = async (look: () => boolean) => {
  for (let n = 0; n < 300 && !look(); n++) await new Promise((resolve) => setTimeout(resolve, 10));
  ok(look(), `never: ${look}`);
};

Deno.test("a task's stream is started, narration, the worker's own bytes, and one end mark", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  const response = await queen.submit({ prompt: "hi", max_tokens: 3 });
  strictEqual(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const text = await response.text();
  strictEqual(names(text)[0], "started");
  ok(names(text).includes("narration"));
  const bytes = [0, 1, 2].map((n) => rbeeDialect.token("x", n)).join("") + rbeeDialect.end(endOf(3));
  ok(text.endsWith(bytes), "the worker's bytes are passed on untouched");
  strictEqual(hive.spawned[0].model_ref, "builtin:tiny");
  deepStrictEqual(queen.scheduler.counts(), { waiting: 0, running: 0, slotsHeld: 0, spawns: 0, timers: 0 });
});

Deno.test("a second task uses the worker again (S08, S10)", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  await (await queen.submit({ prompt: "hi", max_tokens: 1 })).text();
  await (await queen.submit({ prompt: "hi", max_tokens: 1 })).text();
  strictEqual(hive.spawned.length, 1);
});

Deno.test("stream false gives one object: the terminal event's keys, task_id and text", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  const answer = await (await queen.submit({ prompt: "hi", max_tokens: 2, stream: false })).json();
  const { task_id, text, ...end } = answer;
  ok(task_id.startsWith("task-"));
  strictEqual(text, "x");
  deepStrictEqual(end, endOf(2));
});

Deno.test(
  "a worker that dies mid-stream becomes one error event with the counts, and the end mark (S39)",
  relaxed,
  async () => {
    await using hive = new StandInHive({
      script: async (_request, out) => {
        for (let n = 0; n < 12; n++) await out.write(rbeeDialect.token("x", n));
        await new Promise((resolve) => setTimeout(resolve, 50)); // an error overtakes what is still in the buffer
        throw new Error("it died");
      },
    });
    await using queen = await BenchQueen.start(hive);
    const text = await (await queen.submit({ prompt: "hi", max_tokens: 20 })).text();
    const [error, done] = parseText(text).slice(-2);
    strictEqual(done.data, "[DONE]");
    const fields = JSON.parse(error.data).error;
    strictEqual(fields.code, "WORKER_CRASHED");
    strictEqual(fields.details.tokens, 12);
    strictEqual(fields.details.max_tokens, 20);
  },
);

Deno.test(
  "a worker that dies before its first token is asked once more, and the client never notices",
  relaxed,
  async () => {
    let attempts = 0;
    await using hive = new StandInHive({
      script: async (request, out) => {
        if (attempts++ > 0) return await wholeAnswer(request, out);
        await out.write(": keep-alive\n\n");
        throw new Error("it died");
      },
    });
    await using queen = await BenchQueen.start(hive);
    const text = await (await queen.submit({ prompt: "hi", max_tokens: 2 })).text();
    ok(text.endsWith(rbeeDialect.end(endOf(2))));
    strictEqual(attempts, 2);
  },
);

Deno.test("a task waits for a slot that somebody else holds, and starts the moment it frees", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  await (await queen.submit({ prompt: "hi", max_tokens: 1 })).text();
  hive.busy = 1; // a client that talks to the worker directly
  const answer = queen.submit({ prompt: "hi", max_tokens: 1 }).then((r) => r.text());
  await until(() => queen.scheduler.counts().waiting === 1 && queen.scheduler.counts().slotsHeld === 0);
  const freedAt = performance.now();
  hive.busy = 0;
  hive.changed();
  const text = await answer;
  ok(performance.now() - freedAt < 500, "it must not wait for its next retry");
  ok(text.includes("Worker is busy, retrying in 1 second…"));
  strictEqual(hive.spawned.length, 1, "S11: no second worker");
});

Deno.test("a client that leaves frees the slot, and the worker is told", relaxed, async () => {
  await using hive = new StandInHive({
    script: async (_request, out) => {
      for (let n = 0; !out.signal.aborted; n++) {
        await out.write(rbeeDialect.token("x", n));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  });
  await using queen = await BenchQueen.start(hive);
  const client = new AbortController();
  const response = await queen.submit({ prompt: "hi", max_tokens: 100_000 }, client.signal);
  const reader = response.body!.getReader();
  for (let text = ""; !text.includes('"index":3');) text += new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  await until(() => queen.scheduler.counts().slotsHeld === 0 && hive.busy === 0);
  ok(hive.cancelled.length === 1);
});

Deno.test("what is known at once is a plain error with its status, not a stream", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive, { mode: "ephemeral" });
  const cases: [unknown, number, string][] = [
    [{ prompt: "hi", node: "nowhere" }, 404, "NODE_NOT_FOUND"],
    [{ prompt: "hi", model: "nobody-knows" }, 400, "INVALID_MODEL_REF"],
    [{ prompt: "" }, 400, "INVALID_REQUEST"],
    [{ prompt: "hi", detach: true }, 409, "PERSISTENT_QUEEN_NEEDED"],
  ];
  for (const [body, status, code] of cases) {
    const response = await queen.submit(body);
    deepStrictEqual([response.status, (await response.json()).error.code], [status, code]);
  }
  const start = await queen.post("/v2/workers/start", { model: "builtin:tiny" }, { token: true });
  deepStrictEqual([start.status, (await start.json()).error.code], [409, "PERSISTENT_QUEEN_NEEDED"]);
});

Deno.test(
  "a detached task outlives its client; readers come as they like and resume behind what they saw",
  relaxed,
  async () => {
    await using hive = new StandInHive();
    await using queen = await BenchQueen.start(hive);
    const accepted = await queen.submit({ prompt: "hi", max_tokens: 5, detach: true });
    strictEqual(accepted.status, 202);
    const { task_id, events_url } = await accepted.json();
    const [first, second] = await Promise.all(
      [queen.get(events_url), queen.get(events_url)].map(async (r) => await (await r).text()),
    );
    strictEqual(first, second);
    ok(first.endsWith(rbeeDialect.end(endOf(5))));
    const rest = await (await queen.get(events_url, { "last-event-id": "3" })).text();
    strictEqual(rest, rbeeDialect.token("x", 4) + rbeeDialect.end(endOf(5)));
    const cancel = await fetch(`${queen.server.url}/v2/tasks/${task_id}`, { method: "DELETE" });
    strictEqual(cancel.status, 204);
    const unknown = await queen.get("/v2/tasks/task-unknown/events");
    deepStrictEqual([unknown.status, (await unknown.json()).error.code], [404, "TASK_NOT_FOUND"]);
  },
);

Deno.test("loading a model before it is needed ends with the worker", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  const response = await queen.post("/v2/workers/start", { model: "tiny", keep_s: 60 }, { token: true });
  const last = parseText(await response.text()).at(-2)!;
  deepStrictEqual([JSON.parse(last.data).worker_id, JSON.parse(last.data).node], ["worker-1", "local"]);
  strictEqual(hive.spawned[0].keep_s, 60);
  const health = await (await queen.get("/v2/workers/health")).json();
  deepStrictEqual(health.workers.map((w: { ready: boolean }) => w.ready), [true]);
  const stop = await queen.post("/v2/workers/shutdown", { worker_id: "worker-1" }, { token: true });
  strictEqual((await stop.json()).success, true);
  await until(() => queen.scheduler.workers().length === 0);
  const again = await queen.post("/v2/workers/shutdown", { worker_id: "worker-1" }, { token: true });
  deepStrictEqual([again.status, (await again.json()).error.code], [404, "WORKER_NOT_FOUND"]);
});

Deno.test("what changes something needs the token, also on loopback", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  for (const [path, body] of [["/v2/workers/start", { model: "tiny" }], ["/v2/shutdown", {}]] as const) {
    const response = await queen.post(path, body);
    deepStrictEqual([response.status, (await response.json()).error.code], [401, "MISSING_API_KEY"]);
  }
});

Deno.test("a hive that another queen holds is not used, and its tasks are told whose it is", relaxed, async () => {
  await using hive = new StandInHive({ leasedTo: "bee" });
  await using queen = await BenchQueen.start(hive);
  const response = await queen.submit({ prompt: "hi", stream: false });
  const { error } = await response.json();
  deepStrictEqual([response.status, error.code, error.details.host], [409, "HIVE_LEASED", "bee"]);
});

Deno.test("a hive of another version is refused with both versions (S43)", relaxed, async () => {
  await using hive = new StandInHive({ version: "9.9.9" });
  await using queen = await BenchQueen.start(hive);
  const response = await queen.submit({ prompt: "hi", stream: false });
  const { error } = await response.json();
  deepStrictEqual([error.code, error.details["rbee-hive"]], ["VERSION_MISMATCH", "9.9.9"]);
});

Deno.test("the metrics name tasks by their end, and the nodes tell what the hive said", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  await (await queen.submit({ prompt: "hi", max_tokens: 1 })).text();
  const metrics = await (await queen.get("/metrics")).text();
  ok(/rbee_queen_tasks_total\{end="done"\} \d/.test(metrics));
  ok(metrics.includes("rbee_queen_time_to_first_token_seconds_bucket"));
  const { nodes } = await (await queen.get("/v2/nodes")).json();
  deepStrictEqual([nodes[0].node_name, nodes[0].machine.hostname, nodes[0].workers], ["local", "stand-in", 1]);
  strictEqual(hive.leases > 0, true);
});

Deno.test(
  "a client that reads nothing holds the worker back: memory does not grow with what it does not read",
  relaxed,
  async () => {
    const piece = rbeeDialect.token("x".repeat(64 * 1024), 0);
    let written = 0;
    await using hive = new StandInHive({
      script: async (_request, out) => {
        for (; !out.signal.aborted; written += piece.length) await out.write(piece);
      },
    });
    await using queen = await BenchQueen.start(hive);
    const client = new AbortController();
    const response = await queen.submit({ prompt: "hi" }, client.signal);
    let before = -1;
    for (let n = 0; n < 100 && before !== written; n++) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    ok(before === written && written < 64 * 1024 * 1024, `${written} bytes were taken from the worker`);
    await response.body!.cancel();
    await until(() => queen.scheduler.counts().slotsHeld === 0);
  },
);
