/// <reference lib="deno.ns" />
import assert from "node:assert/strict";
import { RbeeError } from "./error.ts";
import { inferenceRequest } from "./inference.ts";
import { submitTask } from "./task.ts";
import { type FieldError, parse } from "./validation.ts";
import { spawnWorker } from "./worker.ts";

function errorsOf(schema: Parameters<typeof parse>[0], value: unknown): FieldError[] {
  try {
    parse(schema, value);
  } catch (error) {
    assert.ok(error instanceof RbeeError);
    assert.equal(error.code, "INVALID_REQUEST");
    return error.details.errors as FieldError[];
  }
  assert.fail("nothing was refused");
}

Deno.test("every bad field is named at once, with the number that was sent", () => {
  const errors = errorsOf(inferenceRequest, {
    max_tokens: 0,
    temperature: 3,
    top_p: -1,
    top_k: -1,
    min_p: 2,
    stop: ["", "a"],
  });
  const fields = errors.map((e) => e.field);
  for (const field of ["max_tokens", "temperature", "top_p", "top_k", "min_p", "stop.0", "prompt"]) {
    assert.ok(fields.includes(field), `${field} of ${fields}`);
  }
  assert.equal(errors.find((e) => e.field === "temperature")?.value, 3);
});

Deno.test("neither prompt nor stop strings are ever echoed", () => {
  const secret = "my-secret-text".repeat(20);
  for (
    const body of [{ prompt: 7, stop: [secret] }, { prompt: secret, messages: [] }, { prompt: secret, max_tokens: "x" }]
  ) {
    assert.ok(!JSON.stringify(errorsOf(inferenceRequest, body)).includes("my-secret"));
  }
});

Deno.test("an unknown field, an empty prompt, and both or neither of prompt and messages are refused", () => {
  assert.equal(errorsOf(submitTask, { prompt: "x", max_token: 3 })[0].field, "max_token");
  assert.equal(errorsOf(submitTask, { prompt: "" })[0].field, "prompt");
  assert.equal(errorsOf(submitTask, {})[0].field, "prompt");
  assert.equal(errorsOf(submitTask, { prompt: "x", messages: [{ role: "user", content: "y" }] })[0].field, "prompt");
  assert.equal(errorsOf(submitTask, [])[0].field, "body");
});

Deno.test("spawn takes the older name of the model field", () => {
  assert.equal(parse(spawnWorker, { model: "builtin:tiny" }).model_ref, "builtin:tiny");
});
