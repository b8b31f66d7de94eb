import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { WorkerPorts } from "./worker_ports.ts";

const hostname = "127.0.0.1";

/** Returns the first of `count` neighbouring ports that are free now. */
function freeRange(count: number): number {
  for (let start = 21_000; start < 60_000; start += 10) {
    const all = new WorkerPorts({ start, end: start + count - 1, hostname });
    if (Array.from({ length: count }, (_, n) => all.isFree(start + n)).every(Boolean)) return start;
  }
  throw new Error("Cannot find free ports");
}

Deno.test("ports come in order, a taken one is left out, and none comes twice", () => {
  const start = freeRange(4);
  using _other = Deno.listen({ hostname, port: start });
  const ports = new WorkerPorts({ start, end: start + 3, hostname });
  assert.equal(ports.take(), start + 1);
  assert.equal(ports.take(), start + 2);
  ports.release(start + 1);
  assert.equal(ports.take(new Set([start + 1])), start + 3);
  assert.equal(ports.take(), start + 1);
  assert.throws(() => ports.take(), (error: RbeeError) => {
    assert.equal(error.code, "INSUFFICIENT_RESOURCES");
    return error.message.includes(String(start)) && error.hint.includes("port_start");
  });
});
