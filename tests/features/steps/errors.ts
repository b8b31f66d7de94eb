/** Steps about refusals and the shape of errors. */
import assert from "node:assert/strict";
import { errorCodes } from "../../../protocol/error_codes.ts";
import { must, suite } from "./scenario.ts";

suite.step(
  "preflight lets it pass: whatever the answer says, it is not about the backend, the device or memory",
  function () {
    const { status, json, text } = must(this.answer, "an answer");
    // No test machine has a CUDA worker for a described device: what comes after preflight is its start.
    const code = status === 200 ? "started" : String(json.error?.code);
    const afterPreflight = ["started", "WORKER_BINARY_NOT_FOUND", "WORKER_START_FAILED", "MODEL_LOAD_FAILED"];
    assert.ok(afterPreflight.includes(code), text);
  },
);

suite.step("the queen is sent a task for that file, not as a stream", async function () {
  const body = { model: await this.model("$HUGE"), node: "local", prompt: "hello", max_tokens: 4, stream: false };
  this.answer = await this.world.call({ who: "queen" }, "POST /v2/tasks", { body });
});

suite.step("the status is {int}", function (status: number) {
  const answer = must(this.answer, "an answer");
  assert.equal(answer.status, status, answer.text);
});

suite.step("the error has the code {string} of the defined list", function (code: string) {
  const { error } = must(this.answer, "an answer").json;
  assert.equal(error.code, code);
  assert.ok(Object.hasOwn(errorCodes, code));
});

suite.step("its message names {int} MB and {int} MB", function (required: number, available: number) {
  const message = String(must(this.answer, "an answer").json.error.message);
  assert.ok(message.includes(`${required} MB`) && message.includes(`${available} MB`), message);
});

suite.step("its details are required {int} and available {int}", function (required: number, available: number) {
  const { details } = must(this.answer, "an answer").json.error;
  assert.deepEqual([details.required, details.available], [required, available]);
});

suite.step("the worker is asked for another answer", async function () {
  await this.askWorker("POST /v1/inference", { prompt: "me too", max_tokens: 4 });
});

suite.step(
  "the status is {int} and the error is {string} with {int} of {int} slots busy, to be tried again later",
  function (status: number, code: string, busy: number, total: number) {
    const answer = must(this.answer, "an answer");
    assert.equal(answer.status, status, answer.text);
    const { error } = answer.json;
    assert.deepEqual([error.code, error.slots_busy, error.slots_total], [code, busy, total]);
    assert.deepEqual([error.details.slots_busy, error.details.slots_total], [busy, total]);
    assert.match(String(error.message), /later/);
    assert.equal(error.retryable, true);
  },
);
