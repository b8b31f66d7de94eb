import assert from "node:assert/strict";
import { eventStream, type OpenStream } from "./event_stream.ts";
import { limits } from "../protocol/limits.ts";

Deno.test("whoever produces waits for whoever reads, and no more than the buffer is held", async () => {
  let written = 0;
  const open = new Set<OpenStream>();
  const piece = new Uint8Array(64 * 1024);
  const response = eventStream(async (out) => {
    for (let n = 0; n < 64; n++) {
      await out.write(piece);
      written += piece.length;
    }
  }, { open });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(written <= limits.streamBufferBytesMax + piece.length, `${written} bytes without a reader`);
  assert.equal((await response.arrayBuffer()).byteLength, 64 * piece.length);
  assert.equal(open.size, 0);
});

Deno.test("a reader that reads nothing is let go, and the producer learns of it", async () => {
  const open = new Set<OpenStream>();
  const ended = Promise.withResolvers<unknown>();
  const response = eventStream(async (out) => {
    try {
      while (true) await out.write(new Uint8Array(64 * 1024));
    } catch (error) {
      ended.resolve(error);
      throw error;
    }
  }, { open, slowClientMs: 50 });
  assert.match(String(await ended.promise), /reads nothing/);
  await assert.rejects(response.text());
  assert.equal(open.size, 0);
});
