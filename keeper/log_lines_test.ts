import assert from "node:assert/strict";
import { humanLine, mergeLogs, parseLog } from "./log_lines.ts";

const line = (time: string, message: string, more = {}) =>
  JSON.stringify({ time, level: "info", program: "p", message, ...more });

Deno.test("lines without a time belong to the line before", () => {
  const text = [line("2026-01-02T03:04:05.000Z", "a"), "llama.cpp says something", ""].join("\n");
  const [first, second] = parseLog(text, "worker-1");
  assert.equal(second.atMs, first.atMs);
  assert.equal(second.raw, "llama.cpp says something");
});

Deno.test("several logs are merged by time, and the last lines are kept", () => {
  const queen = parseLog(
    [line("2026-01-02T03:04:05Z", "1"), line("2026-01-02T03:04:07Z", "3")].join("\n"),
    "queen-rbee",
  );
  const hive = parseLog(line("2026-01-02T03:04:06Z", "2"), "rbee-hive");
  assert.deepEqual(mergeLogs([queen, hive], 2).map((one) => JSON.parse(one.raw).message), ["2", "3"]);
  assert.deepEqual(mergeLogs([queen, hive], 0), []);
});

Deno.test("a person reads time, level, program, text and fields", () => {
  const at = new Date(2026, 0, 2, 3, 4, 5, 678);
  const [one] = parseLog(line(at.toISOString(), "worker started", { port: 8081, model: "a b" }), "rbee-hive");
  assert.equal(humanLine(one, at), '03:04:05.678 INFO  [rbee-hive] worker started  port=8081 model="a b"');
  assert.match(humanLine(one, new Date(2026, 0, 3)), /^2026-01-02 03:04:05\.678 INFO/);
});

Deno.test("a line that is no JSON is shown as it is", () => {
  assert.equal(
    humanLine({ raw: "{oops", atMs: 0, source: "worker-1" }, new Date()),
    "--:--:--.--- ----- [worker-1] {oops",
  );
});
