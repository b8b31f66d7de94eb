import assert from "node:assert/strict";
import { tinyGguf } from "../native/tiny.ts";
import type { RbeeError } from "../protocol/error.ts";
import { checkGguf } from "./gguf_check.ts";

const tiny = Deno.readFileSync(tinyGguf());

async function check(change: (bytes: Uint8Array) => Uint8Array | void): Promise<string> {
  const path = Deno.makeTempFileSync();
  try {
    const bytes = tiny.slice();
    Deno.writeFileSync(path, change(bytes) ?? bytes);
    return await checkGguf(path, "/m.gguf").then(() => "fine", ({ code, message }: RbeeError) => `${code} ${message}`);
  } finally {
    Deno.removeSync(path);
  }
}

Deno.test("a whole GGUF file passes, and its header comes back", async () => {
  assert.equal((await checkGguf(tinyGguf().pathname)).quantization, "Q8_0");
});

Deno.test("another format, an empty file and a cut one are refused by the name that people know", async () => {
  assert.match(await check((b) => void (b[0] = 0x50)), /^MODEL_LOAD_FAILED Cannot load \/m.gguf: it is no GGUF file/);
  assert.match(await check(() => new Uint8Array(0)), /^MODEL_LOAD_FAILED Cannot load \/m.gguf: it has only 0 bytes/);
  assert.match(await check((b) => b.subarray(0, 10)), /^MODEL_LOAD_FAILED .*only 10 bytes/);
  assert.match(await check((b) => b.subarray(0, 30_000)), /^MODEL_LOAD_FAILED .*truncated/);
  assert.match(await check((b) => b.subarray(0, b.length - 1)), /^MODEL_LOAD_FAILED .*truncated/);
});

Deno.test("a header that cannot be true makes an incompatible model", async () => {
  assert.match(await check((b) => void b.fill(0xff, 8, 16)), /^MODEL_INCOMPATIBLE Cannot use \/m.gguf: its header/);
  assert.match(await check((b) => void b.fill(0xff, 16, 24)), /^MODEL_INCOMPATIBLE/);
  assert.match(await check((b) => void b.fill(0, 8, 16)), /^MODEL_INCOMPATIBLE .*no tensors/);
});

Deno.test("an unknown version and a big-endian file are called incompatible", async () => {
  assert.match(await check((b) => void (b[4] = 9)), /^MODEL_INCOMPATIBLE .*version 9/);
  assert.match(await check((b) => void b.set([0, 0, 0, 3], 4)), /^MODEL_INCOMPATIBLE .*big-endian/);
});
