import assert from "node:assert/strict";
import * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Route } from "../protocol/routes.ts";
import type { OpenStream } from "./event_stream.ts";
import type { Log } from "./log.ts";
import { endpoint, makeHandler, serve } from "./serve.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };
const route = <const R extends Route>(r: R) => r;
const echo = route({ method: "POST", path: "/v1/echo/:id", access: "token", body: z.strictObject({ n: z.number() }) });
const fails = route({ method: "GET", path: "/v1/fails", access: "open" });
const stream = route({ method: "GET", path: "/v1/stream", access: "public", stream: true });
const auth = { token: "secret", openNeedsToken: false };

const endpoints = [
  endpoint(echo, ({ body, params, context }) => ({ n: body.n, id: params.id, correlation: context.correlationId })),
  endpoint(fails, () => {
    throw new TypeError("what the user typed");
  }),
];
const handler = makeHandler({ program: "test", endpoints, auth, log: quiet }, {
  stopping: new AbortController().signal,
  open: new Set(),
  listen: { hostname: "127.0.0.1", port: 80 },
});
const ask = (path: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
  handler(new Request(`http://127.0.0.1${path}`, { ...init, headers: { host: "127.0.0.1", ...init.headers } }));
const good = { authorization: "Bearer secret" };

async function refused(response: Response, status: number, code: string): Promise<void> {
  const body = await response.json();
  assert.equal(body.error.code, code);
  assert.equal(response.status, status);
  for (const key of ["message", "details", "retryable", "hint"]) assert.ok(key in body.error, key);
}

Deno.test("a handler gets the parsed body, and the answer carries the correlation id", async () => {
  const response = await ask("/v1/echo/a%20b", {
    method: "POST",
    body: '{"n":1}',
    headers: { ...good, "x-correlation-id": "abc-1" },
  });
  assert.deepEqual(await response.json(), { n: 1, id: "a b", correlation: "abc-1" });
  assert.equal(response.headers.get("x-correlation-id"), "abc-1");
});

Deno.test("every wrong request gets one error body with the right status", async () => {
  const post = (body: string, headers: Record<string, string> = good) =>
    ask("/v1/echo/x", { method: "POST", body, headers });
  await refused(await post("{"), 400, "INVALID_REQUEST");
  await refused(await post('{"n":"1"}'), 400, "INVALID_REQUEST");
  await refused(await post("{}", {}), 401, "MISSING_API_KEY");
  await refused(await post("{}", { authorization: "Bearer wrong" }), 401, "INVALID_API_KEY");
  await refused(await post("{}", { ...good, host: "evil.example" }), 403, "HOST_NOT_ALLOWED");
  await refused(await post("{}", { ...good, origin: "http://evil.example" }), 403, "ORIGIN_NOT_ALLOWED");
  await refused(await post("{}", { ...good, "x-rbee-version": "9.9.9" }), 409, "VERSION_MISMATCH");
  await refused(
    await post("{}", { ...good, "content-length": String(limits.requestBodyBytesMax + 1) }),
    413,
    "PAYLOAD_TOO_LARGE",
  );
  await refused(await ask("/nothing"), 404, "NOT_FOUND");
  const wrongMethod = await ask("/v1/echo/x", { headers: good });
  assert.equal(wrongMethod.headers.get("allow"), "POST");
  await refused(wrongMethod, 405, "METHOD_NOT_ALLOWED");
  assert.equal((await post("{}", {})).headers.get("www-authenticate"), "Bearer");
});

Deno.test("a fault in a handler is a 500 that tells nothing of its text", async () => {
  const response = await ask("/v1/fails");
  const text = await response.text();
  assert.equal(response.status, 500);
  assert.ok(!text.includes("what the user typed"));
  assert.ok(text.includes("INTERNAL_ERROR"));
});

Deno.test("a taken port names port, program and flag; with fallback another one is taken", async () => {
  const options = { program: "queen-rbee", endpoints: [], auth, log: quiet, hostname: "127.0.0.1", portFlag: "--port" };
  const first = serve({ ...options, port: 0 });
  try {
    assert.throws(
      () => serve({ ...options, port: first.port }),
      (e) =>
        e instanceof RbeeError && e.code === "PORT_TAKEN" && e.message.includes("queen-rbee") &&
        e.message.includes(String(first.port)) && e.hint.includes("--port"),
    );
    const second = serve({ ...options, port: first.port, portFallback: true });
    assert.notEqual(second.port, first.port);
    await second.stop();
  } finally {
    await first.stop();
  }
});

Deno.test("a client that leaves aborts the stream's signal; a stopping server cuts what is left", async () => {
  const left = Promise.withResolvers<void>();
  let open = 0;
  const server = serve({
    program: "test",
    auth,
    log: quiet,
    hostname: "127.0.0.1",
    port: 0,
    endpoints: [endpoint(stream, ({ context }) =>
      context.stream(async (out) => {
        open++;
        await out.write("data: 1\n\n");
        await new Promise<void>((resolve) => out.signal.addEventListener("abort", () => resolve()));
        left.resolve();
      }))],
  });
  const leaving = await fetch(`${server.url}/v1/stream`);
  const reader = leaving.body!.getReader();
  await reader.read();
  await reader.cancel();
  await left.promise;
  const staying = await fetch(`${server.url}/v1/stream`);
  const text = staying.text();
  while (open < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  await server.stop(50);
  assert.equal(await text, "data: 1\n\n");
});

Deno.test("streams that are open are bounded: one more is refused before its handler runs, other routes answer", async () => {
  const open = new Set<OpenStream>();
  let begun = 0;
  const streams = makeHandler({
    program: "test",
    auth,
    log: quiet,
    endpoints: [
      ...endpoints,
      endpoint(stream, ({ context }) => {
        begun++;
        return context.stream(() => Promise.resolve());
      }),
    ],
  }, { stopping: new AbortController().signal, open, listen: { hostname: "127.0.0.1", port: 80 } });
  const get = () => streams(new Request("http://127.0.0.1/v1/stream", { headers: { host: "127.0.0.1" } }));
  while (open.size < limits.streamsOpenMax) open.add({ cut() {} });
  await refused(await get(), 429, "TOO_MANY_REQUESTS");
  assert.equal(begun, 0);
  const other = new Request("http://127.0.0.1/v1/echo/x", {
    method: "POST",
    body: '{"n":1}',
    headers: { ...good, host: "127.0.0.1" },
  });
  assert.equal((await (await streams(other)).json()).n, 1);
  open.clear();
  assert.equal((await get()).status, 200);
});

Deno.test("a handler may ask whether its caller sent a secret, and learns nothing else of what was sent", async () => {
  const asks = makeHandler({
    program: "test",
    auth,
    log: quiet,
    endpoints: [endpoint(fails, ({ context }) => ({ its: context.sent("its-own"), none: context.sent("") }))],
  }, { stopping: new AbortController().signal, open: new Set(), listen: { hostname: "127.0.0.1", port: 80 } });
  const get = async (headers: Record<string, string>) =>
    await (await asks(
      new Request("http://127.0.0.1/v1/fails", { headers: { host: "127.0.0.1", ...headers } }),
    )).json();
  assert.deepEqual(await get({ authorization: "Bearer its-own" }), { its: true, none: false });
  assert.deepEqual(await get({ authorization: "Bearer another" }), { its: false, none: false });
  assert.deepEqual(await get({}), { its: false, none: false });
});
