import assert from "node:assert/strict";
import { errorCodes } from "../../protocol/error_codes.ts";
import { inWorld, nextInferWorks } from "../support/flows.ts";
import { type RawRequest, rawRequest } from "../support/raw_http.ts";
import { World } from "../support/world.ts";

interface Daemon {
  readonly port: number;
  readonly token: string;
  /** A route that takes a JSON body, and a body that it would take. */
  readonly post: string;
  readonly good: Record<string, unknown>;
  readonly health: string;
  /** The queen serves inference without a token on loopback, and so ignores a wrong one. */
  readonly tokenRoute: string;
}

interface Wanted {
  status: number;
  code: string;
}

interface Bad {
  what: string;
  request: (daemon: Daemon) => RawRequest;
  wanted: Wanted;
}

const headersOf = ({ port, token }: Daemon) => ({
  host: `127.0.0.1:${port}`,
  authorization: `Bearer ${token}`,
  "content-type": "application/json",
});

const post = (daemon: Daemon, body: string, headers: Record<string, string> = {}): RawRequest => ({
  method: "POST",
  path: daemon.post,
  headers: { ...headersOf(daemon), ...headers },
  body,
});

const bad: Bad[] = [
  {
    what: "a body that is no JSON",
    request: (d) => post(d, "{prompt: secret words"),
    wanted: { status: 400, code: "INVALID_REQUEST" },
  },
  { what: "an empty body", request: (d) => post(d, ""), wanted: { status: 400, code: "INVALID_REQUEST" } },
  {
    what: "a JSON value that is no object",
    request: (d) => post(d, "[1, 2]"),
    wanted: { status: 400, code: "INVALID_REQUEST" },
  },
  {
    what: "an unknown field",
    request: (d) => post(d, JSON.stringify({ ...d.good, colour: "red" })),
    wanted: { status: 400, code: "INVALID_REQUEST" },
  },
  {
    what: "a wrong method",
    request: (d) => ({ ...post(d, "{}"), method: "PUT" }),
    wanted: { status: 405, code: "METHOD_NOT_ALLOWED" },
  },
  {
    what: "an unknown path",
    request: (d) => ({ method: "GET", path: "/v9/none", headers: headersOf(d) }),
    wanted: { status: 404, code: "NOT_FOUND" },
  },
  {
    what: "a wrong token",
    request: (d) => ({
      method: d.tokenRoute.split(" ")[0],
      path: d.tokenRoute.split(" ")[1],
      headers: { ...headersOf(d), authorization: "Bearer wrong" },
      body: JSON.stringify({ worker_id: "worker-none" }),
    }),
    wanted: { status: 401, code: "INVALID_API_KEY" },
  },
  {
    what: "no token",
    request: (d) => ({
      method: d.tokenRoute.split(" ")[0],
      path: d.tokenRoute.split(" ")[1],
      headers: { host: `127.0.0.1:${d.port}`, "content-type": "application/json" },
      body: JSON.stringify({ worker_id: "worker-none" }),
    }),
    wanted: { status: 401, code: "MISSING_API_KEY" },
  },
  {
    what: "a Host of another machine",
    request: (d) => post(d, JSON.stringify(d.good), { host: "evil.example" }),
    wanted: { status: 403, code: "HOST_NOT_ALLOWED" },
  },
  {
    what: "a web page's Origin",
    request: (d) => post(d, JSON.stringify(d.good), { origin: "http://evil.example" }),
    wanted: { status: 403, code: "ORIGIN_NOT_ALLOWED" },
  },
];

async function checkDaemon(t: Deno.TestContext, daemon: Daemon): Promise<void> {
  for (const { what, request, wanted } of bad) {
    await t.step(what, async () => {
      const answer = await rawRequest(daemon.port, request(daemon));
      assert.equal(answer.status, wanted.status, answer.body);
      const { error } = JSON.parse(answer.body);
      assert.equal(error.code, wanted.code);
      assert.ok(Object.hasOwn(errorCodes, error.code) && error.message && error.hint, answer.body);
      assert.ok(!answer.body.includes("secret words") && !answer.body.includes(daemon.token));
      if (wanted.status === 405) assert.match(answer.head, /^allow: .*POST/im);
      if (wanted.status === 401) assert.match(answer.head, /^www-authenticate: Bearer/im);
    });
  }
  await t.step("a body above the bound is refused, not read", async () => {
    const size = 33 * 1024 * 1024;
    const answer = await rawRequest(daemon.port, {
      ...post(daemon, "x"),
      body: undefined,
      headers: { ...headersOf(daemon), "content-length": String(size) },
    });
    assert.equal(answer.status, 413, answer.body);
    assert.equal(JSON.parse(answer.body).error.code, "PAYLOAD_TOO_LARGE");
  });
  await t.step("and it lives on", async () => {
    const answer = await rawRequest(daemon.port, { method: "GET", path: daemon.health, headers: headersOf(daemon) });
    assert.equal(answer.status, 200);
  });
}

Deno.test("queen, hive and worker answer each bad request with its status and code, and live on", async (t) => {
  await inWorld(async (world) => {
    assert.equal((await world.run("rbee", ["up"])).code, 0);
    await nextInferWorks(world);
    const [worker] = await world.workers();
    const port = (url: string) => Number(new URL(url).port);
    await t.step("queen", (step) =>
      checkDaemon(step, {
        port: port(world.queenUrl()),
        token: world.token("queen"),
        post: "/v2/tasks",
        good: { prompt: "hello", max_tokens: 2 },
        health: "/health",
        tokenRoute: "POST /v2/workers/shutdown",
      }));
    await t.step("hive", (step) =>
      checkDaemon(step, {
        port: port(world.hiveUrl()),
        token: world.token("hive"),
        post: "/v1/workers/spawn",
        good: { model_ref: "builtin:tiny" },
        health: "/v1/health",
        tokenRoute: "POST /v1/workers/spawn",
      }));
    await t.step("worker", (step) =>
      checkDaemon(step, {
        port: port(worker.url),
        token: world.token(worker.id),
        post: "/v1/inference",
        good: { prompt: "hello", max_tokens: 2 },
        health: "/v1/health",
        tokenRoute: "POST /v1/inference",
      }));
    await nextInferWorks(world);
  }, () => new World());
});

Deno.test("every bad field is named at once, and neither prompt nor stop is echoed", () =>
  inWorld(async (world) => {
    assert.equal((await world.run("rbee", ["up"])).code, 0);
    const body = { prompt: "secret words", temperature: 9, top_p: -1, max_tokens: 0, stop: ["secret stop", ""] };
    const answer = await world.call({ who: "queen" }, "POST /v2/tasks", { body });
    assert.equal(answer.status, 400, answer.text);
    const fields = (answer.json.error.details.errors as unknown as { field: string }[]).map((e) => e.field);
    for (const field of ["temperature", "top_p", "max_tokens"]) assert.ok(fields.includes(field), answer.text);
    assert.ok(fields.some((f) => f.startsWith("stop")), answer.text);
    assert.ok(!answer.text.includes("secret"), answer.text);
  }, () => new World()));

Deno.test("a prompt of 1 MB does not fit: both numbers are named, and the next infer works", () =>
  inWorld(async (world) => {
    assert.equal((await world.run("rbee", ["up"])).code, 0);
    const prompt = "once upon a time ".repeat(62_000);
    const finished = await world.run("rbee", ["infer"], { stdin: prompt });
    assert.equal(finished.code, 1, finished.stderr);
    assert.match(finished.stderr, /CONTEXT_EXCEEDED/);
    assert.match(finished.stderr, /\b2048\b/);
    assert.match(finished.stderr, /\b\d{5,}\b/, "how long the prompt is");
    await nextInferWorks(world);
  }, () => new World()));
