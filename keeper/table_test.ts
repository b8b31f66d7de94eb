import assert from "node:assert/strict";
import { tableLines } from "./table.ts";

Deno.test("columns of a table begin at the same place in every line", () => {
  assert.deepEqual(tableLines(["ID", "STATE"], [["worker-1", "idle"], ["w", ""]]), [
    "ID        STATE",
    "worker-1  idle",
    "w",
  ]);
});
