import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { type Retry, retryAfterMs, Tries } from "./download_tries.ts";

const failed = (details: Record<string, unknown> = {}) => new RbeeError("DOWNLOAD_FAILED", { details });

Deno.test("six tries, each wait twice the one before; one that brought something counts anew", async () => {
  const told: Retry[] = [];
  const tries = new Tries({ onRetry: (retry) => told.push(retry) });
  await tries.failedWith(failed({ reason: "Connection reset by peer" }));
  tries.gained();
  for (let i = 0; i < 2; i++) await tries.failedWith(failed());
  assert.deepEqual(told.map(({ attempt, waitMs }) => [attempt, waitMs]), [[2, 100], [2, 100], [3, 200]]);
  assert.deepEqual(told[0], { reason: "Connection reset by peer", attempt: 2, attempts: 6, waitMs: 100 });
});

Deno.test("the sixth failure in a row is the last", async () => {
  const tries = new Tries();
  const last = failed({ retry_after_ms: 0 });
  for (let i = 0; i < 5; i++) await tries.failedWith(last);
  await assert.rejects(tries.failedWith(last), (error) => error === last);
});

Deno.test("what cannot get better is not tried again", async () => {
  const final = [
    ...[failed({ refused: true }), failed({ status: 418 }), new RbeeError("DISK_FULL"), new Error("a fault")],
    ...[new RbeeError("ACCESS_DENIED", { details: { status: 403 } }), new RbeeError("MODEL_NOT_FOUND")],
  ];
  for (const error of final) await assert.rejects(new Tries().failedWith(error), (thrown) => thrown === error);
});

Deno.test("a cancel ends the wait", async () => {
  const stop = new AbortController();
  const wait = new Tries({ signal: stop.signal }).failedWith(failed({ retry_after_ms: 50_000 }));
  stop.abort(new RbeeError("REQUEST_CANCELED"));
  await assert.rejects(wait, { code: "REQUEST_CANCELED" });
});

Deno.test("Retry-After is seconds or a date", () => {
  const ms = (text: string) => retryAfterMs(new Headers({ "retry-after": text }), Date.parse("2026-01-01T00:00:00Z"));
  assert.equal(ms("3"), 3_000);
  assert.equal(ms("Thu, 01 Jan 2026 00:00:07 GMT"), 7_000);
  assert.equal(ms("Wed, 31 Dec 2025 00:00:07 GMT"), 0);
  assert.equal(ms("soon"), undefined);
  assert.equal(retryAfterMs(new Headers(), 0), undefined);
});
