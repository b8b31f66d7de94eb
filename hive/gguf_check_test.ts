import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { tinyGguf } from "../native/tiny.ts";
import { checkGguf, ggufHeadBytes } from "./gguf_check.ts";

const tiny = Deno.readFileSync(tinyGguf());
const head = (change: (bytes: Uint8Array) => void = () => {}) => {
  const bytes = tiny.slice(0, ggufHeadBytes);
  change(bytes);
  return bytes;
};
const check = (bytes: Uint8Array, sizeBytes = tiny.length) => () => checkGguf(bytes, { path: "/m.gguf", sizeBytes });
const codeOf = (code: string) => (error: unknown) => (error as RbeeError).code === code;

Deno.test("the head of a whole GGUF file passes", () => {
  assert.doesNotThrow(check(head()));
});

Deno.test("another format, an empty file and a cut one are refused before a worker starts", () => {
  assert.throws(check(head((b) => b[0] = 0x50)), codeOf("MODEL_LOAD_FAILED"));
  assert.throws(check(new Uint8Array(0), 0), codeOf("MODEL_LOAD_FAILED"));
  assert.throws(check(tiny.slice(0, 10), 10), codeOf("MODEL_LOAD_FAILED"));
  assert.throws(check(head(), 200), codeOf("MODEL_LOAD_FAILED"));
});

Deno.test("absurd counts in a damaged header are refused", () => {
  assert.throws(check(head((b) => b.fill(0xff, 8, 16))), codeOf("MODEL_LOAD_FAILED"));
  assert.throws(check(head((b) => b.fill(0xff, 16, 24))), codeOf("MODEL_LOAD_FAILED"));
  assert.throws(check(head((b) => b.fill(0, 8, 16))), codeOf("MODEL_LOAD_FAILED"));
});

Deno.test("an unknown version and a big-endian file are called incompatible", () => {
  assert.throws(check(head((b) => b[4] = 9)), codeOf("MODEL_INCOMPATIBLE"));
  assert.throws(check(head((b) => b.set([0, 0, 0, 3], 4))), (error: RbeeError) => /big-endian/.test(error.message));
});
