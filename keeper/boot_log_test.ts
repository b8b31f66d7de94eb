import assert from "node:assert/strict";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import { bootError } from "./boot_log.ts";

function errorFor(text: string): RbeeError {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(path, text);
    return bootError(path, "she ended with exit code 1");
  } finally {
    Deno.removeSync(path);
  }
}

Deno.test("a queen that names her own error is believed, as a line for people or as a body", () => {
  const human = errorFor(
    "[queen-rbee] starting\n[queen-rbee] ❌ Error: Cannot start queen-rbee: port 8080 is taken (PORT_TAKEN)\n\n" +
      "Suggestion: Choose another port with --port\n",
  );
  assert.equal(human.code, "PORT_TAKEN");
  assert.equal(human.message, "Cannot start queen-rbee: port 8080 is taken");
  assert.equal(human.hint, "Choose another port with --port");
  const body = errorFor(JSON.stringify(toErrorBody(new RbeeError("DATABASE_NEWER"))) + "\n");
  assert.equal(body.code, "DATABASE_NEWER");
});

Deno.test("anything else is QUEEN_START_FAILED with the last lines", () => {
  const error = errorFor("one\n\x1b[31mtwo\x1b[0m\n\n");
  assert.equal(error.code, "QUEEN_START_FAILED");
  assert.equal(error.message, "Cannot start the queen: she ended with exit code 1: two");
  assert.deepEqual(error.details.lines, ["one", "two"]);
  assert.equal(bootError("/nowhere/at/all", "she was killed").message, "Cannot start the queen: she was killed");
});
