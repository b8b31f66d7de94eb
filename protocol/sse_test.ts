/// <reference lib="deno.ns" />
import assert from "node:assert/strict";
import { rbeeDialect } from "./dialects/rbee.ts";
import { doneMark, doneText, encodeEvent, keepAliveText, type ParsedEvent, parseEvents, parseText } from "./sse.ts";

async function read(pieces: Uint8Array[]): Promise<ParsedEvent[]> {
  const found: ParsedEvent[] = [];
  for await (const event of parseEvents(ReadableStream.from(pieces) as ReadableStream<Uint8Array>)) found.push(event);
  return found;
}

Deno.test("a stream cut at every byte gives the same events, also inside a character", async () => {
  const text = encodeEvent({ event: "started", data: "{}" }) + keepAliveText + rbeeDialect.token("ü😀\n", 0) + doneText;
  const bytes = new TextEncoder().encode(text);
  const whole = await read([bytes]);
  assert.deepEqual(whole.map((e) => e.event), ["started", undefined, undefined]);
  assert.deepEqual(JSON.parse(whole[1].data), { token: "ü😀\n", index: 0 });
  assert.equal(whole[1].id, "0");
  assert.equal(whole[2].data, doneMark);
  for (let at = 1; at < bytes.length; at++) {
    assert.deepEqual(await read([bytes.subarray(0, at), bytes.subarray(at)]), whole, `cut at ${at}`);
  }
});

Deno.test("an unfinished last event is not given out", () => {
  assert.equal(parseText('data: {"a":1}\n\ndata: {"b":').length, 1);
});
