import assert from "node:assert/strict";
import * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import type { Route } from "../protocol/routes.ts";
import { call, callStream } from "./call.ts";

const route = {
  method: "POST",
  path: "/v1/x",
  access: "public",
  body: z.object({}),
  answer: z.object({ n: z.number() }),
} as const satisfies Route;

async function withServer(handler: (r: Request) => Response | Promise<Response>, run: (base: string) => Promise<void>) {
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, handler);
  await run(`http://127.0.0.1:${server.addr.port}`);
}
const code = async (promise: Promise<unknown>) => {
  const error = await promise.then(() => undefined, (e) => e);
  assert.ok(error instanceof RbeeError, String(error));
  return error;
};

Deno.test("an answer is parsed, and one of another shape is INVALID_RESPONSE", async () => {
  await withServer(() => Response.json({ n: 1 }), async (base) => {
    assert.deepEqual(await call({ program: "p", base }, route, { body: {} }), { n: 1 });
  });
  await withServer(() => Response.json({ n: "one" }), async (base) => {
    assert.equal((await code(call({ program: "p", base }, route, { body: {} }))).code, "INVALID_RESPONSE");
  });
  await withServer(() => new Response("<html>", { status: 502 }), async (base) => {
    assert.equal((await code(call({ program: "p", base }, route, { body: {} }))).code, "INVALID_RESPONSE");
  });
});

Deno.test("a refused connection is tried three times after 0, 200 and 400 ms, then CONNECTION_TIMEOUT", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const retries: [number, number][] = [];
  const error = await code(call({ program: "rbee-hive", base: `http://127.0.0.1:${port}` }, route, {
    body: {},
    onRetry: (attempt, waitMs) => retries.push([attempt, waitMs]),
  }));
  assert.equal(error.code, "CONNECTION_TIMEOUT");
  assert.match(error.message, /after 3 attempts/);
  assert.deepEqual(retries, [[2, 200], [3, 400]]);
});

Deno.test("a peer that never answers, or goes away, is told apart from one that refuses", async () => {
  await withServer(
    () => new Promise<Response>((resolve) => setTimeout(() => resolve(new Response()), 400)),
    async (base) => {
      assert.equal(
        (await code(call({ program: "p", base }, route, { body: {}, deadlineMs: 50 }))).code,
        "CONNECTION_TIMEOUT",
      );
    },
  );
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const closing = (async () => {
    for await (const connection of listener) connection.close();
  })();
  const base = `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
  assert.equal((await code(call({ program: "p", base }, route, { body: {} }))).code, "CONNECTION_LOST");
  listener.close();
  await closing;
});

Deno.test("a caller's own signal ends a call with its own reason", async () => {
  await withServer(
    () => new Promise<Response>((resolve) => setTimeout(() => resolve(new Response()), 300)),
    async (base) => {
      const mine = new AbortController();
      const reason = new Error("mine");
      setTimeout(() => mine.abort(reason), 20);
      await assert.rejects(callStream({ program: "p", base }, route, { body: {}, signal: mine.signal }), reason);
    },
  );
});

Deno.test("the peer's own error arrives as it was sent", async () => {
  const body = {
    error: { code: "ALL_SLOTS_BUSY", message: "busy", details: { slots_total: 1 }, retryable: true, hint: "wait" },
  };
  await withServer(() => Response.json(body, { status: 503 }), async (base) => {
    const error = await code(callStream({ program: "p", base }, route, { body: {} }));
    assert.equal(error.code, "ALL_SLOTS_BUSY");
    assert.equal(error.hint, "wait");
  });
});

Deno.test("a stream ends with its signal also long after it began, when garbage was collected meanwhile", async () => {
  const endless = () => {
    let timer = 0;
    return new ReadableStream<Uint8Array>({
      start: (c) => void (timer = setInterval(() => c.enqueue(new Uint8Array(100)), 1)),
      cancel: () => clearInterval(timer),
    });
  };
  await withServer(() => new Response(endless()), async (base) => {
    const stop = new AbortController();
    const { body } = await callStream({ program: "p", base }, route, {
      body: {},
      signal: AbortSignal.any([stop.signal, new AbortController().signal]),
    });
    setTimeout(() => stop.abort(new Error("stopped")), 1_000);
    const until = performance.now() + 3_000;
    await assert.rejects(async () => {
      for await (const piece of body) {
        void Array.from({ length: 2_000 }, () => ({ piece })); // garbage, so that it is collected
        if (performance.now() > until) return;
      }
    }, /stopped/);
  });
});

Deno.test("a deadline between two attempts is CONNECTION_TIMEOUT; a caller's own reason stays its own", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const peer = { program: "p", base: `http://127.0.0.1:${port}` };
  const error = await code(call(peer, route, { body: {}, deadlineMs: 100 }));
  assert.equal(error.code, "CONNECTION_TIMEOUT");
  assert.match(error.message, /did not answer/);
  const mine = new AbortController();
  const reason = new Error("mine");
  const canceled = call(peer, route, { body: {}, signal: mine.signal, onRetry: () => mine.abort(reason) });
  await assert.rejects(canceled, reason);
});

Deno.test("an answer in chunks is cut at its bound, and its sender learns of it", async () => {
  const left = Promise.withResolvers<void>();
  const piece = new Uint8Array(1024 * 1024).fill(0x20);
  let sent = 0;
  const endless = () =>
    new ReadableStream<Uint8Array>({
      pull: (controller) => ++sent > 64 ? controller.close() : controller.enqueue(piece),
      cancel: () => left.resolve(),
    });
  await withServer(() => new Response(endless()), async (base) => {
    const error = await code(call({ program: "p", base }, route, { body: {} }));
    assert.equal(error.code, "INVALID_RESPONSE");
    assert.match(error.message, /too large/);
    await left.promise;
    assert.ok(sent < 64);
  });
});

Deno.test("an answer whose letters are split between pieces is read whole", async () => {
  const bytes = new TextEncoder().encode(JSON.stringify({ n: 1, text: "é🐝" }));
  const single = { ...route, answer: z.object({ n: z.number(), text: z.string() }) };
  const body = () => ReadableStream.from(Array.from(bytes, (byte) => new Uint8Array([byte])));
  await withServer(() => new Response(body()), async (base) => {
    assert.deepEqual(await call({ program: "p", base }, single, { body: {} }), { n: 1, text: "é🐝" });
  });
});
