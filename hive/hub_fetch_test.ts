import assert from "node:assert/strict";
import { HubServer } from "../tests/support/hub_server.ts";
import { ask } from "./hub_fetch.ts";

const bytes = new Uint8Array(100_000);

Deno.test("a redirect from the internet into a network is refused, whatever its name; one within a network is not", async () => {
  using hub = new HubServer();
  await hub.add("a/b", { "x.gguf": bytes });
  const url = `${hub.url}/a/b/resolve/main/x.gguf`;
  /** The hub lies on the internet, as far as this machine can tell. */
  const outside = (hostname: string) => Promise.resolve(hostname === "127.0.0.1" ? ["8.8.8.8"] : ["10.1.2.3"]);
  hub.faults.add({ on: "resolve", redirectTo: "http://harmless.example/x" });
  await assert.rejects(ask(url, { resolve: outside }), /from the internet to the private address harmless.example/);
  hub.faults.clear();
  const { response } = await ask(url);
  assert.equal(response.status, 200);
  assert.equal((await response.arrayBuffer()).byteLength, bytes.length);
});

Deno.test("headers of the hub's own answer are kept, and the token goes to it alone", async () => {
  using hub = new HubServer({ accepted: ["hf_t"] });
  await hub.add("a/b", { "x.gguf": bytes });
  const { response, first } = await ask(`${hub.url}/a/b/resolve/main/x.gguf`, { token: "hf_t" });
  await response.body?.cancel();
  assert.match(first.get("x-linked-etag") ?? "", /^"[0-9a-f]{64}"$/);
  assert.deepEqual(hub.log.map(({ origin, hasToken }) => `${origin} ${hasToken}`), ["hub true", "cdn false"]);
  const head = await ask(`${hub.url}/a/b/resolve/main/x.gguf`, { method: "HEAD", staysAtOrigin: true });
  assert.equal(head.response.status, 302);
});

Deno.test("a hub that cannot be reached is told without its whole address", async () => {
  const address = "http://127.0.0.1:1/a?signature=secret";
  await assert.rejects(ask(address), (error: Error) => {
    assert.match(error.message, /Cannot reach 127.0.0.1:1: Connection refused/);
    assert.ok(!JSON.stringify(error).includes("secret") && !String(error.cause).includes("secret"));
    return true;
  });
});
