import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { TINY_BYTES, TINY_SHA256, tinyGguf } from "./tiny.ts";

Deno.test("the embedded model is the file whose size and digest are written down", async () => {
  const bytes = await Deno.readFile(tinyGguf());
  assert.equal(bytes.length, TINY_BYTES);
  assert.equal(createHash("sha256").update(bytes).digest("hex"), TINY_SHA256);
});
