import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { startFailure } from "./hive_start_failure.ts";

const exited = { code: 1, signal: null, cause: "exited" } as const;
const killed = { code: 137, signal: "SIGKILL", cause: "exited" } as const;

Deno.test("a hive that was killed while it started is told with its signal, whatever it said before", () => {
  for (const tail of ["", "a line of its log\n"]) {
    const error = startFailure(tail, killed);
    strictEqual(error.message, "Cannot start the hive: it ended with signal SIGKILL");
    deepStrictEqual(error.details, { signal: "SIGKILL" });
  }
});

Deno.test("a hive that we ended ourselves has no signal that would be worth another try", () => {
  deepStrictEqual(startFailure("", { ...killed, cause: "killed" }).details, {});
});

Deno.test("a hive that ended by itself is told with the error and the hint that it printed", () => {
  const tail = "[rbee-hive] ❌ Error: Cannot listen: the port is taken (PORT_TAKEN)\n\nSuggestion: take another\n";
  const error = startFailure(tail, exited);
  strictEqual(error.message, "Cannot start the hive: Cannot listen: the port is taken");
  strictEqual(error.hint, "take another");
  deepStrictEqual(error.details, {});
});

Deno.test("a hive that ended by itself without an error is told with its last line, or its silence", () => {
  strictEqual(startFailure("one\ntwo\n", exited).message, "Cannot start the hive: two");
  strictEqual(startFailure("", exited).message, "Cannot start the hive: it ended without a word");
});
