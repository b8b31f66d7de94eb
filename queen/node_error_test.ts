import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { onNode } from "./node_error.ts";

Deno.test("what is wrong on another machine says where", () => {
  const details = { path: "/x.gguf" };
  const error = new RbeeError("MODEL_NOT_FOUND", {
    message: "Cannot find /x.gguf: no such file",
    details,
    hint: "Look",
  });
  const told = onNode(error, "gaming-pc");
  strictEqual(told.message, "Cannot find /x.gguf: no such file (on gaming-pc)");
  deepStrictEqual([told.code, told.hint, told.details], ["MODEL_NOT_FOUND", "Look", { ...details, node: "gaming-pc" }]);
  strictEqual(onNode(told, "gaming-pc"), told);
  strictEqual(onNode(error, "local"), error);
});
