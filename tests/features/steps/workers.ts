/** Steps about workers: how they are started, what the hive and they themselves say. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { eventually } from "../../support/eventually.ts";
import type { Table } from "../../support/gherkin.ts";
import { isListening } from "../../support/ports.ts";
import { isAlive, processOf } from "../../support/processes.ts";
import { must, type Scenario, suite } from "./scenario.ts";

const tinyFile = new URL("../../../native/tiny/tiny.gguf", import.meta.url);

async function spawn(scenario: Scenario, model: string, backend = "cpu", device = 0): Promise<void> {
  const body = { model_ref: await scenario.model(model), backend, device };
  scenario.answer = await scenario.world.call({ who: "hive" }, "POST /v1/workers/spawn", { body });
  scenario.noted.set("asked", body);
}

async function spawnAndRemember(scenario: Scenario, model: string): Promise<void> {
  await spawn(scenario, model);
  const { status, json, text } = must(scenario.answer, "an answer");
  assert.equal(status, 200, text);
  await scenario.remember(String(json.worker_id));
}

suite.step(
  "the hive is asked to start a worker for {string} on {string} device {int}",
  async function (model: string, backend: string, device: number) {
    await spawn(this, model, backend, device);
    if (must(this.answer, "an answer").status === 200) await this.remember(String(this.answer?.json.worker_id));
  },
);

suite.step("a worker that has just begun to load {string}", async function (model: string) {
  await spawnAndRemember(this, model);
});

suite.step("{int} workers that have loaded {string}", async function (count: number, model: string) {
  for (let started = 0; started < count; started++) {
    await spawnAndRemember(this, model);
    await this.workerIs(["idle"], 5_000);
  }
  assert.equal((await this.world.workers()).length, count);
});

suite.step("a worker that has loaded {string}", async function (model: string) {
  const line = `infer --model ${model} --prompt "hello" --max-tokens 2`;
  await this.start(line);
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
  this.noted.set("lastAnswerAt", performance.now());
  await this.remember();
});

suite.step("a worker whose only slot is busy with a long answer", async function () {
  const first = await this.start('infer --model $SLOW --prompt "a long story" --max-tokens 3000 --ignore-eos');
  await first.sees(/\S[\s\S]{8,}/, { stream: "stdout", withinMs: 10_000 });
  await this.remember();
  assert.equal((await this.workerIs(["busy"], 1_000)).slots_available, 0);
});

suite.step("a copy of the small model named {string}", function (name: string) {
  const folder = join(this.world.home, "workers/by-hand");
  Deno.mkdirSync(folder, { recursive: true });
  Deno.copyFileSync(tinyFile, join(folder, name));
  this.noted.set("file", name);
});

interface ByHand {
  model: string;
  callbackUrl?: string;
}

function startByHand(scenario: Scenario, options: ByHand): void {
  const { world } = scenario;
  const port = world.ports.workerStart;
  // The key of a worker is derived from the hive's token: without a hive any key will do.
  Deno.writeTextFileSync(join(world.home, "hive.token"), "0".repeat(64));
  const args = ["--worker-id", "by-hand", "--model", options.model, "--model-ref", "builtin:tiny", "--backend", "cpu"];
  args.push("--device", "0", "--port", String(port));
  if (options.callbackUrl) args.push("--callback-url", options.callbackUrl);
  const cwd = Deno.realPathSync(join(world.home, "workers/by-hand"));
  const program = world.start("llm-worker-rbee", args, { cwd, env: { RBEE_WORKER_KEY: world.token("by-hand") } });
  scenario.worker = { id: "by-hand", url: `http://127.0.0.1:${port}`, pid: program.pid };
}

suite.step("a worker is started by hand on that file", function () {
  startByHand(this, { model: String(this.noted.get("file")) });
});

suite.step("it is ready", async function () {
  await eventually(async () => (await this.askWorker("GET /v1/ready")).json.ready, {
    withinMs: 10_000,
    what: "the worker is ready",
    seen: () => String(this.answer?.text),
  });
});

suite.step("it loads after that, and is ready", async function () {
  const ready = await eventually(async () => {
    const { json } = await this.askWorker("GET /v1/ready");
    return json.ready ? json : undefined;
  }, { withinMs: 10_000, what: "the worker is ready" });
  assert.equal(ready.state, "idle");
});

async function health(scenario: Scenario): Promise<Record<string, unknown>> {
  const { json } = await scenario.askWorker("GET /v1/health");
  return json.model as unknown as Record<string, unknown>;
}

suite.step(
  "its health names the variant {string} and the architecture {string}",
  async function (variant: string, architecture: string) {
    const model = await health(this);
    assert.deepEqual([model.variant, model.architecture], [variant, architecture]);
  },
);

suite.step("its health names the size of that file", async function () {
  assert.equal((await health(this)).size_bytes, Deno.statSync(tinyFile).size);
});

suite.step("its health says of the model", async function (table: Table) {
  const model = await health(this);
  for (const [key, value] of table.rows) assert.equal(String(model[key]), value, key);
});

async function capital(scenario: Scenario, ignoreEos: boolean): Promise<Record<string, unknown>> {
  const body = {
    prompt: "What is the capital of France?",
    max_tokens: 60,
    temperature: 0,
    stream: false,
    ignore_eos: ignoreEos,
  };
  const { json, text, status } = await scenario.askWorker("POST /v1/inference", body);
  assert.equal(status, 200, text);
  return json as unknown as Record<string, unknown>;
}

suite.step("a short question ends by the end-of-text token, not by the limit", async function () {
  const answer = await capital(this, false);
  assert.equal(answer.stop_reason, "EOS");
  assert.ok(Number(answer.total_tokens) < 60);
  assert.match(String(answer.text), /Paris/);
});

suite.step("the same question goes on to the limit when that token is ignored", async function () {
  const answer = await capital(this, true);
  assert.deepEqual([answer.stop_reason, answer.total_tokens], ["MAX_TOKENS", 60]);
});

suite.step("the hive lists {int} worker(s)", async function (count: number) {
  await eventually(async () => (await this.world.workers()).length === count, {
    withinMs: 2_000,
    what: `the hive lists ${count} workers`,
  });
  assert.equal((await this.world.workers()).length, count);
});

suite.step("the hive lists {int} worker(s) for {string}", async function (count: number, model: string) {
  const workers = await this.world.workers();
  assert.deepEqual(workers.map((w) => w.model_ref), Array(count).fill(await this.model(model)));
});

suite.step("the hive lists that worker as {string}", async function (state: string) {
  assert.equal((await this.workerIs([state], 1_000)).state, state);
});

suite.step("the hive lists it with", async function (table: Table) {
  const record = await this.oneWorker();
  const seen = record as unknown as Record<string, unknown>;
  for (const [key, value] of table.rows) assert.equal(String(seen[key]), value, `${key} in ${JSON.stringify(seen)}`);
});

suite.step("the list names its id, its url and its model", async function () {
  const record = await this.oneWorker();
  assert.equal(record.id, must(this.answer, "an answer").json.worker_id);
  assert.equal(record.url, this.answer?.json.url);
  assert.equal(record.model_ref, (this.noted.get("asked") as { model_ref: string }).model_ref);
});

suite.step("the hive still has that one worker process", async function () {
  const before = must(this.worker, "a worker");
  const record = await this.oneWorker();
  assert.deepEqual([record.id, record.pid], [before.id, before.pid]);
  assert.deepEqual(this.world.processes("llm-worker-rbee").map((p) => p.pid), [before.pid]);
});

suite.step("the hive has another worker process than before", async function () {
  const before = must(this.worker, "a worker");
  const record = await this.oneWorker();
  assert.notEqual(record.id, before.id);
  assert.notEqual(record.pid, before.pid);
});

suite.step("no worker was ever started", function () {
  assert.deepEqual(this.world.processes("llm-worker-rbee"), []);
  const logs = [...Deno.readDirSync(join(this.world.home, "logs"))].map((e) => e.name);
  assert.deepEqual(logs.filter((name) => name.startsWith("worker-")), []);
});

suite.step("the answer names the worker in state {string}", function (state: string) {
  const { status, json, text } = must(this.answer, "an answer");
  assert.equal(status, 200, text);
  assert.equal(json.state, state);
  assert.match(String(json.worker_id), /^worker-/);
  assert.ok(URL.canParse(String(json.url)));
});

suite.step(
  "the worker's command line holds {string}, {string}, {string} and its port",
  function (one: string, two: string, three: string) {
    const { pid, url } = must(this.worker, "a worker");
    const line = must(processOf(pid), "its process").args.join(" ");
    for (const part of [one, two, three, `--port ${new URL(url).port}`]) assert.ok(line.includes(part), line);
  },
);

suite.step("its port is one of those that were configured, and it listens there", async function () {
  const port = Number(new URL(must(this.worker, "a worker").url).port);
  const { workerStart, workerEnd } = this.world.ports;
  assert.ok(port >= workerStart && port <= workerEnd, String(port));
  assert.ok(await isListening(port));
});

suite.step("its key is in no command line of this world", function () {
  const { id, pid } = must(this.worker, "a worker");
  const key = this.world.token(id);
  assert.equal(processOf(pid)?.environment.RBEE_WORKER_KEY, key, "it has the key by its environment");
  for (const entry of this.world.processes()) assert.ok(!entry.args.join(" ").includes(key), entry.args[0]);
});

/** A call that came to whom a worker took for its hive. */
interface Call {
  method: string;
  path: string;
  authorization: string | null;
  body: string;
  listening: boolean;
}

suite.step("somebody who listens as a hive would", function () {
  const calls: Call[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { method, url } = request;
    const authorization = request.headers.get("authorization");
    const body = await request.text();
    const listening = await isListening(this.world.ports.workerStart);
    calls.push({ method, path: new URL(url).pathname, authorization, body, listening });
    return Response.json({ message: "registered" });
  });
  this.atEnd(() => server.shutdown());
  this.noted.set("calls", calls).set("port", server.addr.port);
});

suite.step("a worker is started by hand that calls back there", function () {
  const folder = join(this.world.home, "workers/by-hand");
  Deno.mkdirSync(folder, { recursive: true });
  Deno.copyFileSync(tinyFile, join(folder, "tiny.gguf"));
  startByHand(this, { model: "tiny.gguf", callbackUrl: `http://127.0.0.1:${this.noted.get("port")}` });
});

async function firstCall(scenario: Scenario): Promise<Call> {
  const calls = scenario.noted.get("calls") as Call[];
  return await eventually(() => calls[0], {
    withinMs: 5_000,
    what: "the worker calls back",
    seen: () => scenario.world.report(),
  });
}

suite.step("the call back is a POST with the worker's key", async function () {
  const { method, path, authorization } = await firstCall(this);
  assert.deepEqual([method, path], ["POST", "/v1/workers/ready"]);
  assert.equal(authorization, `Bearer ${this.world.token("by-hand")}`);
});

suite.step(
  "it carries worker_id, url, model_ref {string}, backend {string} and device {int} as a number",
  async function (model: string, backend: string, device: number) {
    const { id, url } = must(this.worker, "a worker");
    const body = JSON.parse((await firstCall(this)).body);
    const { worker_id, model_ref } = body;
    assert.deepEqual({ worker_id, model_ref, backend: body.backend, device: body.device, url: body.url }, {
      worker_id: id,
      model_ref: model,
      backend,
      device,
      url,
    });
  },
);

suite.step("the worker was listening at that url by then", async function () {
  assert.equal((await firstCall(this)).listening, true);
});

suite.step("a hive that an operator started is asked to start a worker for {string}", async function (model: string) {
  const { pid } = must(this.worker, "a worker");
  const program = must(this.world.programs.find((p) => p.pid === pid), "the first worker");
  program.signal("SIGTERM");
  assert.equal((await program.ends(5_000)).code, 0, program.account());
  Deno.removeSync(join(this.world.home, "workers/by-hand"), { recursive: true });
  this.hive = await this.world.startHive();
  await spawnAndRemember(this, model);
});

suite.step("that hive has registered it, url and all", async function () {
  const { id, url, pid } = must(this.worker, "a worker");
  const record = await this.oneWorker();
  assert.deepEqual([record.id, record.url, record.pid], [id, url, pid]);
  assert.ok(await isListening(Number(new URL(url).port)));
});

suite.step("that worker's process ends with its model unloaded, and nobody else does", async function () {
  const { pid } = must(this.worker, "a worker");
  await eventually(() => !isAlive(pid), { withinMs: 5_000, what: "the worker's process has ended" });
  assert.deepEqual(this.world.processes("llm-worker-rbee"), []);
  assert.equal(this.world.queenPid(), this.noted.get("queenPid"));
  assert.ok(isAlive(this.world.queenPid()) && isAlive(this.world.hivePid()));
});
