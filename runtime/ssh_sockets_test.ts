import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { checkSocketPath } from "./ssh_sockets.ts";

Deno.test("a home whose sockets would not fit or could not be named is refused, and the error says what would do", () => {
  checkSocketPath("/home/me/.rbee");
  checkSocketPath("/" + "x".repeat(52));
  assert.throws(() => checkSocketPath("/" + "x".repeat(53)), (error: RbeeError) => {
    assert.equal(error.code, "RBEE_HOME_TOO_LONG");
    assert.match(error.hint, /at most 53 bytes/);
    return true;
  });
  assert.throws(() => checkSocketPath("/" + "é".repeat(30)), (error: RbeeError) => error.code === "RBEE_HOME_TOO_LONG");
  assert.throws(() => checkSocketPath("/a:b"), (error: RbeeError) => error.code === "CONFIG_INVALID");
});
