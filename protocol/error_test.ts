/// <reference lib="deno.ns" />
import assert from "node:assert/strict";
import { errorCodes } from "./error_codes.ts";
import { fromErrorBody, RbeeError, toErrorBody, toRbeeError } from "./error.ts";

Deno.test("an error survives its journey over HTTP with code, facts, hint and cause", () => {
  const lower = new RbeeError("VRAM_EXHAUSTED", {
    message: "need 6000 MB, have 4000 MB",
    details: { required: 6000, available: 4000 },
  });
  const sent = new RbeeError("WORKER_START_FAILED", { details: { node: "local" }, cause: lower, hint: "do this" });
  const back = fromErrorBody(JSON.parse(JSON.stringify(toErrorBody(sent, "abc"))), sent.status);
  assert.equal(back.code, "WORKER_START_FAILED");
  assert.equal(back.hint, "do this");
  assert.equal(back.correlationId, "abc");
  assert.deepEqual(back.details, { node: "local" });
  assert.ok(back.cause instanceof RbeeError);
  assert.equal(back.cause.code, "VRAM_EXHAUSTED");
  assert.deepEqual(back.cause.details, { required: 6000, available: 4000 });
});

Deno.test("a fault of our own tells nothing of its text to a client", () => {
  const body = toErrorBody(new TypeError("the user typed: my secret"));
  assert.equal(body.error.code, "INTERNAL_ERROR");
  assert.ok(!JSON.stringify(body).includes("secret"));
  assert.equal(toRbeeError(new TypeError("x")).code, "INTERNAL_ERROR");
});

Deno.test("ALL_SLOTS_BUSY carries its two numbers beside the code as well", () => {
  const { error } = toErrorBody(new RbeeError("ALL_SLOTS_BUSY", { details: { slots_total: 1, slots_busy: 1 } }));
  assert.equal(error.slots_total, 1);
  assert.equal(error.slots_busy, 1);
  assert.equal(error.retryable, true);
});

Deno.test("an answer without an error body, or with an unknown code, becomes INVALID_RESPONSE", () => {
  assert.equal(fromErrorBody("<html>", 502).code, "INVALID_RESPONSE");
  const unknown = fromErrorBody({ error: { code: "FROM_THE_FUTURE", message: "new", details: {} } });
  assert.equal(unknown.code, "INVALID_RESPONSE");
  assert.equal(unknown.message, "new");
  assert.equal(unknown.details.code, "FROM_THE_FUTURE");
});

Deno.test("every row of the table has a status, a summary and a hint", () => {
  for (const [code, row] of Object.entries(errorCodes)) {
    assert.match(code, /^[A-Z][A-Z_]+$/);
    assert.ok(row.status >= 400 && row.status < 600, code);
    assert.ok(row.summary.length > 5 && !row.summary.endsWith("."), code);
    assert.ok(row.hint.length > 5, code);
    assert.doesNotMatch(row.hint, /\bdetails\b/, `${code}: a person never sees them`);
  }
});
