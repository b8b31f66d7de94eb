/** Steps about models that load, and about loading that gets stuck. */
import assert from "node:assert/strict";
import { eventually } from "../../support/eventually.ts";
import { send } from "../../support/processes.ts";
import { EventReader } from "../../support/sse_reader.ts";
import { must, type Scenario, suite } from "./scenario.ts";

/** Freezes the one worker of this world after the hive has seen some of its progress. */
async function freezeWhileLoading(scenario: Scenario): Promise<void> {
  const record = await eventually(async () => {
    const [worker] = await scenario.world.workers();
    return worker?.layers_loaded ? worker : undefined;
  }, { withinMs: 10_000, what: "the worker reports loaded layers", everyMs: 10, seen: () => scenario.world.report() });
  assert.equal(record.state, "loading", "it was caught while it loads");
  assert.ok(send(must(record.pid, "its process"), "SIGSTOP"));
}

suite.step("a person starts {string} and its worker gets stuck while loading", async function (line: string) {
  await this.start(line);
  await freezeWhileLoading(this);
});

suite.step(
  "a task for {string} is sent to the queen and its worker gets stuck while loading",
  async function (model: string) {
    const body = { model: await this.model(model), prompt: "hello", max_tokens: 4 };
    const response = await this.world.open({ who: "queen" }, "POST /v2/tasks", { body });
    this.reader = new EventReader(must(response.body, "a body"));
    const ended = this.reader.all(20_000);
    await freezeWhileLoading(this);
    await ended;
  },
);

suite.step("the stream ends with the error {string} and the end mark", function (code: string) {
  const reader = must(this.reader, "a stream");
  assert.equal(reader.events.at(-1)?.data, "[DONE]");
  const error = reader.values().at(-1)?.error as { code: string; message: string };
  assert.equal(error.code, code, error.message);
});

interface LoadingError {
  details: { state: string; layers_loaded: number; layers_total: number };
  hint: string;
}

const lastError = (scenario: Scenario) => must(scenario.reader, "a stream").values().at(-1)?.error as LoadingError;

suite.step(
  "its details hold the state {string} and how many of {int} layers were loaded",
  function (state: string, n: number) {
    const { details } = lastError(this);
    assert.deepEqual([details.state, details.layers_total], [state, n]);
    assert.ok(details.layers_loaded > 0 && details.layers_loaded <= n);
  },
);

suite.step("its hint speaks of the worker's log", function () {
  assert.match(lastError(this).hint, /log/);
});

suite.step("the worker is asked {string}", async function (request: string) {
  await this.askWorker(request);
});

suite.step(
  "the answer says that it is not ready, is {string}, and gives the address of its progress",
  function (state: string) {
    const { json } = must(this.answer, "an answer");
    assert.deepEqual([json.ready, json.state], [false, state]);
    assert.equal(json.progress_url, `${must(this.worker, "a worker").url}/v1/loading/progress`);
  },
);

async function followProgress(scenario: Scenario): Promise<EventReader> {
  const { id, url } = must(scenario.worker, "a worker");
  const response = await scenario.world.open({ who: id, url }, "GET /v1/loading/progress");
  assert.equal(response.status, 200);
  scenario.reader = new EventReader(must(response.body, "a body"));
  return scenario.reader;
}

suite.step("at that address there is progress by layers", async function () {
  const reader = await followProgress(this);
  const event = await reader.until((e) => e.data.includes("loading_to_vram"), {
    withinMs: 5_000,
    what: "an event loading_to_vram",
  });
  const progress = JSON.parse(event.data);
  assert.ok(progress.layers_loaded <= progress.layers_total);
});

suite.step("its progress is followed to the end", async function () {
  await (await followProgress(this)).all(15_000);
});

suite.step("it counts loaded layers up to {int} of {int} with their memory", function (last: number, total: number) {
  const steps = must(this.reader, "a stream").values().filter((v) => v.stage === "loading_to_vram");
  assert.ok(steps.length >= 2, JSON.stringify(steps));
  const loaded = steps.map((s) => Number(s.layers_loaded));
  assert.deepEqual(loaded, loaded.toSorted((a, b) => a - b));
  assert.ok(steps.every((s) => s.layers_total === total && Number(s.vram_mb) >= 0));
  assert.equal(loaded.at(-1), last);
  assert.ok(Number(steps.at(-1)?.vram_mb) > 100, JSON.stringify(steps.at(-1)));
});

suite.step("the last event but the end mark is {string}", function (stage: string) {
  const reader = must(this.reader, "a stream");
  assert.equal(reader.events.at(-1)?.data, "[DONE]");
  assert.equal(reader.values().at(-1)?.stage, stage);
});

suite.step("a person at a terminal runs {string}", async function (line: string) {
  await this.world.call({ who: "hive" }, `POST /v1/workers/${must(this.worker, "a worker").id}/shutdown`);
  await eventually(async () => (await this.world.workers()).length === 0, {
    withinMs: 5_000,
    what: "no worker is left",
  });
  await this.start(line, { terminal: true });
  await this.ends();
});

suite.step("they see how many of {int} layers are loaded", function (total: number) {
  const { code, stdout } = must(this.finished, "an end");
  assert.equal(code, 0, stdout);
  assert.match(stdout, new RegExp(`\\d+/${total}`));
});
