import assert from "node:assert/strict";
import { HubServer } from "./hub_server.ts";

const bytes = Uint8Array.from({ length: 300_000 }, (_none, i) => i * 7 & 255);

Deno.test("the hub of tests lists, redirects to its other origin, serves ranges and counts what it sent", async () => {
  using hub = new HubServer({ pageSize: 1 });
  await hub.add("acme/model", { "a.gguf": bytes, "README.md": new Uint8Array(10) });
  const info = await (await fetch(`${hub.url}/api/models/acme/model/revision/main`)).json();
  assert.match(info.sha, /^[0-9a-f]{40}$/);
  const page = await fetch(`${hub.url}/api/models/acme/model/tree/${info.sha}?recursive=true`);
  assert.match(page.headers.get("link") ?? "", /cursor=1.*rel="next"/);
  assert.equal((await page.json())[0].lfs.size, bytes.length);
  const head = await fetch(`${hub.url}/acme/model/resolve/main/a.gguf`, { method: "HEAD", redirect: "manual" });
  assert.equal(head.status, 302);
  assert.equal(head.headers.get("x-linked-size"), String(bytes.length));
  const range = await fetch(`${hub.url}/acme/model/resolve/main/a.gguf`, { headers: { range: "bytes=299990-" } });
  assert.equal(range.status, 206);
  assert.deepEqual(new Uint8Array(await range.arrayBuffer()), bytes.subarray(299_990));
  assert.equal(hub.bytesSent("a.gguf"), 10);
});

Deno.test("the hub of tests resets a connection where it is told to, as often as it is told to", async () => {
  using hub = new HubServer();
  await hub.add("acme/model", { "a.gguf": bytes });
  hub.faults.add({ on: "bytes", cutAt: 100_000, times: 1 });
  const get = async () => (await fetch(`${hub.url}/acme/model/resolve/main/a.gguf`)).arrayBuffer();
  await assert.rejects(get(), /body from connection/);
  assert.equal(hub.bytesSent(), 100_000);
  assert.equal((await get()).byteLength, bytes.length);
});

Deno.test("the hub of tests lets nobody into a gated repository without a token that was accepted", async () => {
  using hub = new HubServer({ tokens: ["known"], accepted: ["good"] });
  await hub.add("acme/gated", { "a.gguf": bytes }, { isGated: true });
  const status = async (token?: string) => {
    const headers: HeadersInit = token ? { authorization: `Bearer ${token}` } : {};
    const options = { headers, redirect: "manual" as const, method: "HEAD" };
    return (await fetch(`${hub.url}/acme/gated/resolve/main/a.gguf`, options)).status;
  };
  assert.deepEqual([await status(), await status("known"), await status("good"), await status("x")], [
    401,
    403,
    302,
    401,
  ]);
  assert.equal((await fetch(`${hub.url}/api/models/acme/none`, { method: "HEAD" })).status, 401);
});

Deno.test("the hub of tests takes faults from another process, and tells it what was asked", async () => {
  using hub = new HubServer();
  await hub.add("acme/model", { "a.gguf": bytes });
  const faults = JSON.stringify([{ on: "bytes", status: 503, times: 1 }]);
  await (await fetch(`${hub.url}/_faults`, { method: "POST", body: faults })).body?.cancel();
  const status = async () => {
    const response = await fetch(`${hub.url}/acme/model/resolve/main/a.gguf`);
    await response.body?.cancel();
    return response.status;
  };
  assert.deepEqual([await status(), await status()], [503, 200]);
  const stats = await (await fetch(`${hub.url}/_stats`)).json();
  assert.equal(stats.log.filter((entry: { origin: string }) => entry.origin === "cdn").length, 2);
});
