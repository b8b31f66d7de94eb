import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { readBody } from "./request_body.ts";

/** Returns a request that sends `text` and then nothing more, without an end. */
function stalled(text: string, cancel: () => void = () => {}): Request {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => text === "" ? undefined : controller.enqueue(new TextEncoder().encode(text)),
    cancel,
  });
  return new Request("http://127.0.0.1/", { method: "POST", body });
}
const announcing = (length: number, body: string) =>
  new Request("http://127.0.0.1/", { method: "POST", body, headers: { "content-length": String(length) } });
const hasCode = (code: string) => (error: unknown) => error instanceof RbeeError && error.code === code;

Deno.test("a body that stalls is TIMEOUT, also when what came so far could be carried out", async () => {
  await assert.rejects(readBody(stalled('{"n":1}'), { readMs: 20 }), hasCode("TIMEOUT"));
  await assert.rejects(readBody(stalled(""), { readMs: 20 }), hasCode("TIMEOUT"));
});

Deno.test("a stalled connection that cannot even be canceled leaves no fault behind", async () => {
  const broken = stalled("{}", () => {
    throw new Error("broken pipe");
  });
  await assert.rejects(readBody(broken, { readMs: 20 }), hasCode("TIMEOUT"));
  await new Promise((resolve) => setTimeout(resolve, 10)); // an unhandled rejection would fail this test
});

Deno.test("a body that ends before its announced length is refused, not carried out", async () => {
  await assert.rejects(readBody(announcing(100, '{"n":1}')), hasCode("INVALID_REQUEST"));
  await assert.rejects(readBody(announcing(100, "")), hasCode("INVALID_REQUEST"));
  assert.deepEqual(await readBody(announcing(7, '{"n":1}')), { n: 1 });
});
