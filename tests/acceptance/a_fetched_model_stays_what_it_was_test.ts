import assert from "node:assert/strict";
import { parseText } from "../../protocol/sse.ts";
import { type HubWorld, inHubWorld, modelOf } from "../support/hub_world.ts";

const bytes = modelOf(5 * 1024 * 1024);
const ref = "hf:acme/story-GGUF:Q4_K_M";

async function verify(at: HubWorld): Promise<{ result: string; digest: string }> {
  const { text } = await at.call("POST /v1/models/verify", { model_ref: ref });
  return JSON.parse(parseText(text).at(-2)!.data);
}

async function rows(at: HubWorld): Promise<Record<string, unknown>[]> {
  return (await at.call("GET /v1/models")).json.models as unknown as Record<string, unknown>[];
}

Deno.test("a fetched model is known with its digest; a damaged one is fetched again, and only then", () =>
  inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": bytes });
    const { last } = await at.pull(ref);
    assert.equal(last.stage, "complete", JSON.stringify(last));
    const path = last.local_path!;
    const [row] = await rows(at);
    assert.deepEqual([row.provider, row.reference, row.variant], ["hf", "acme/story-GGUF", "Q4_K_M"]);
    const { result, digest } = await verify(at);
    assert.deepEqual([result, digest], ["ok", row.digest], "the hub told it");
    assert.deepEqual(row.files, [{ path: "story-Q4_K_M.gguf", size_bytes: bytes.length, digest }]);
    const { mtime } = Deno.statSync(path);
    const damaged = bytes.slice();
    damaged[4_000_000] ^= 4;
    Deno.writeFileSync(path, damaged);
    Deno.utimeSync(path, mtime!, mtime!);
    assert.equal((await at.ask(ref)).json.local_path, path as unknown, "nobody has noticed");
    assert.equal((await verify(at)).result, "damaged");
    const spawned = await at.call("POST /v1/workers/spawn", { model_ref: ref });
    assert.equal(spawned.json.error.code, "MODEL_LOAD_FAILED" as unknown);
    assert.equal((await at.pull(ref)).last.stage, "complete");
    assert.equal(at.hub.bytesSent("Q4_K_M"), 2 * bytes.length);
    assert.deepEqual(Deno.readFileSync(path), bytes);
    assert.equal((await verify(at)).result, "ok");
    assert.equal((await rows(at)).length, 1);
  }));

Deno.test("what is here is known, looked up and loaded without the hub", () =>
  inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": bytes, "story-Q8_0.gguf": bytes });
    await at.pull(ref);
    const asked = at.hub.log.length;
    for (const one of [ref, "hf:acme/story-GGUF", "hf:acme/story-GGUF:story-Q4_K_M.gguf"]) {
      const { json, text } = await at.call("POST /v1/models/lookup", { model_ref: one });
      assert.equal(json.download_bytes, 0 as unknown, text);
      assert.equal(json.shape.layers, 5 as unknown);
      assert.equal((await at.ask(one)).json.local_path, json.local_path);
    }
    const spawned = await at.call("POST /v1/workers/spawn", { model_ref: ref });
    assert.equal(spawned.status, 200, spawned.text);
    const removed = await at.call("POST /v1/models/remove", { model_ref: ref });
    assert.equal(removed.json.error.code, "MODEL_IN_USE" as unknown);
    assert.equal(at.hub.log.length, asked, "nobody asked the hub");
  }));

Deno.test("a person's own file is looked up with its shape", () =>
  inHubWorld(async (at) => {
    const path = `${at.world.userHome}/own.gguf`;
    Deno.writeFileSync(path, bytes);
    const { json } = await at.call("POST /v1/models/lookup", { model_ref: `file:${path}` });
    assert.deepEqual([json.local_path, json.size_bytes, json.shape.layers], [path, bytes.length, 5] as unknown[]);
  }));
