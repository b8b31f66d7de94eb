import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { HubServer } from "../tests/support/hub_server.ts";
import { limits } from "../protocol/limits.ts";
import { fetchInLanes } from "./download_lanes.ts";
import { Part } from "./download_part.ts";

const bytes = Uint8Array.from({ length: 3 * limits.downloadLaneBytes + 1_000 }, (_none, i) => i * 31 ^ i >> 11 & 255);
const sha256 = createHash("sha256").update(bytes).digest("hex");
const never = new AbortController().signal;

async function inFolder(test: (part: Part, hub: HubServer, address: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  using hub = new HubServer();
  await hub.add("a/b", { "x.gguf": bytes });
  try {
    await using part = await Part.open(`${folder}/x.gguf`, { size: bytes.length, sha256 }, never);
    assert.ok(part);
    await test(part, hub, `${hub.cdnUrl}/a/b/resolve/main/x.gguf`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const lanes = (address: string) => ({
  ...{ address, etag: null, size: bytes.length, signal: never, stallMs: 500 },
  ...{ onBytes() {}, onReceived() {} },
});

Deno.test("ranges that come at once are appended in the file's order", async () => {
  await inFolder(async (part, hub, address) => {
    await part.add(bytes.subarray(0, 500));
    hub.faults.add({ on: "bytes", delayMs: 200, times: 1 }); // the first comes last
    await fetchInLanes(part, lanes(address));
    assert.equal(part.bytes, bytes.length);
    assert.equal(part.digest(), sha256);
    assert.equal(hub.bytesSent(), bytes.length - 500);
    await part.finish();
    assert.deepEqual(Deno.readFileSync(part.path), bytes);
  });
});

Deno.test("when one breaks, what came before it in the file stays, and nothing behind it", async () => {
  for (
    const fault of [{ cutAt: limits.downloadLaneBytes + 1_000, how: "close" as const }, {
      stallAt: limits.downloadLaneBytes,
    }]
  ) {
    await inFolder(async (part, hub, address) => {
      hub.faults.add({ on: "bytes", ...fault });
      await assert.rejects(fetchInLanes(part, lanes(address)), { code: "DOWNLOAD_FAILED" });
      const kept = part.bytes;
      assert.ok(kept <= limits.downloadLaneBytes + 1_000, `${kept}`);
      await part.settle();
      const digest = createHash("sha256").update(bytes.subarray(0, kept)).digest("hex");
      assert.equal(part.digest(), digest);
      assert.deepEqual(Deno.readFileSync(`${part.path}.part`), bytes.slice(0, kept));
      hub.faults.clear();
      await fetchInLanes(part, lanes(address));
      assert.equal(part.digest(), sha256);
    });
  }
});

Deno.test("a server that sends another range, or refuses, is not believed", async () => {
  await inFolder(async (part, hub, address) => {
    hub.faults.add({ on: "bytes", ignoresRange: true });
    await assert.rejects(fetchInLanes(part, lanes(address)), /status 200/);
    hub.faults.clear();
    hub.faults.add({ on: "bytes", status: 403 });
    await assert.rejects(fetchInLanes(part, lanes(address)), /status 403/);
    assert.equal(part.bytes, 0);
    const stop = AbortSignal.abort(new Error("enough"));
    await assert.rejects(fetchInLanes(part, { ...lanes(address), signal: stop }), /enough/);
  });
});
