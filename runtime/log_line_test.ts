import assert from "node:assert/strict";
import { openLog } from "./log.ts";
import { logLine } from "./log_line.ts";
import { limits } from "../protocol/limits.ts";

const entry = { time: "2025-01-01T00:00:00.000Z", level: "error", program: "queen-rbee", message: "request failed" };
const read = (line: Uint8Array) => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));

Deno.test("a line that is too long stays JSON within its bytes, and its short fields stay whole", () => {
  for (const letter of ["x", "é", "🐝", "\n", "\u0001"]) {
    const line = logLine(
      { ...entry, code: "TIMEOUT", stack: letter.repeat(5_000), list: Array(900).fill(letter) },
      1_000,
    );
    assert.ok(line.length <= 1_000, `${line.length} bytes of ${JSON.stringify(letter)}`);
    const { stack, list, ...rest } = read(line);
    assert.deepEqual(rest, { ...entry, code: "TIMEOUT" });
    assert.ok(stack.startsWith(letter) && stack.endsWith("…"));
    assert.ok(list.endsWith("…"));
  }
});

Deno.test("a line within its bytes is not touched, and one of too many fields says how many it left out", () => {
  assert.deepEqual(read(logLine({ ...entry, n: 1, of: ["a"] })), { ...entry, n: 1, of: ["a"] });
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`field_${n}`, "value"]));
  assert.deepEqual(read(logLine({ ...entry, ...many }, 1_000)), { ...entry, fields_left_out: 500 });
});

const openUntilTheEnd = { sanitizeResources: false }; // a program's log is never closed: it may have last words
Deno.test("each line of a log file can be parsed, however long the error's stack was", openUntilTheEnd, () => {
  const folder = Deno.makeTempDirSync();
  try {
    const log = openLog({ program: "test", level: "info", file: `${folder}/a.log`, stderr: false });
    log.error("request failed", { stack: "é\n".repeat(limits.logLineBytesMax) });
    const line = Deno.readFileSync(`${folder}/a.log`);
    assert.ok(line.length <= limits.logLineBytesMax, `${line.length} bytes`);
    assert.equal(read(line).message, "request failed");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
