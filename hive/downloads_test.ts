import assert from "node:assert/strict";
import { parseModelRef } from "../protocol/model.ts";
import { Downloads } from "./downloads.ts";

Deno.test("a hive that ends does not wait for what a hub was asked", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rbee-" });
  const asked = Promise.withResolvers<void>();
  const answers = Promise.withResolvers<void>();
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async () => {
    asked.resolve();
    await answers.promise; // never before the test's end
    return new Response();
  });
  const downloads = new Downloads({
    folder,
    stallMs: 60_000,
    known: () => Promise.resolve(undefined),
    onArrived: () => {},
    memoryBytes: () => Promise.resolve(undefined),
  });
  const ref = parseModelRef(`http://127.0.0.1:${server.addr.port}/model.gguf`);
  assert.ok(ref.provider === "http");
  const found = assert.rejects(downloads.lookUp(ref), { code: "SHUTTING_DOWN" });
  await asked.promise;
  await downloads.stop();
  await found;
  answers.resolve();
  await Deno.remove(folder, { recursive: true });
});
