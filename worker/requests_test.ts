import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { Requests } from "./requests.ts";

Deno.test("the first reason to end a request stands", () => {
  const requests = new Requests();
  using running = requests.begin("a");
  running.end("cancelled");
  running.end("shutdown");
  assert.equal(running.endedBy, "cancelled");
  assert.equal(running.signal.aborted, true);
});

Deno.test("an id that runs already is refused, and free again when its request has ended", () => {
  const requests = new Requests();
  const first = requests.begin("a");
  assert.throws(() => requests.begin("a"), (error) => error instanceof RbeeError && error.code === "INVALID_REQUEST");
  first[Symbol.dispose]();
  using _second = requests.begin("a");
});

Deno.test("cancelling an unknown id does nothing", () => {
  new Requests().cancel("nobody");
});

Deno.test("waiting for none is over when the last request has ended", async () => {
  const requests = new Requests();
  await requests.whenNone();
  const [a, b] = [requests.begin("a"), requests.begin("b")];
  let over = false;
  const waiting = requests.whenNone().then(() => over = true);
  requests.endAll("shutdown");
  a[Symbol.dispose]();
  await Promise.resolve();
  assert.equal(over, false);
  b[Symbol.dispose]();
  await waiting;
  assert.equal(requests.count, 0);
});
