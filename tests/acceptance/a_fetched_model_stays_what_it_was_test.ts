import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { limits } from "../../protocol/limits.ts";
import { parseText } from "../../protocol/sse.ts";
import { dirname } from "../../runtime/path.ts";
import { pause } from "../support/eventually.ts";
import { type HubWorld, inHubWorld, modelOf } from "../support/hub_world.ts";

const bytes = modelOf(5 * 1024 * 1024);
const ref = "hf:acme/story-GGUF:Q4_K_M";

async function verify(at: HubWorld, model_ref: string = ref): Promise<{ result: string; digest: string }> {
  const { text } = await at.call("POST /v1/models/verify", { model_ref });
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

Deno.test("a digest stays known while the bytes are the same: a new time costs nothing, other bytes are found", () =>
  inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": bytes });
    const path = (await at.pull(ref)).last.local_path!;
    assert.deepEqual(namesIn(dirname(path)), ["story-Q4_K_M.gguf", "story-Q4_K_M.gguf.rbee.json"]);
    const [{ digest }] = await rows(at);
    Deno.utimeSync(path, 1_600_000_000, 1_600_000_000);
    assert.deepEqual([(await rows(at))[0].digest, await verify(at)], [null, { model_ref: ref, result: "ok", digest }]);
    assert.equal((await rows(at))[0].digest, digest);
    const other = bytes.slice();
    other[4_000_000] ^= 4;
    Deno.writeFileSync(path, other);
    Deno.utimeSync(path, 1_700_000_000, 1_700_000_000);
    assert.equal((await verify(at)).result, "damaged");
  }));

Deno.test("a digest that nobody told is kept, also when the hive was killed before it wrote a row", () =>
  inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story.gguf": bytes });
    const url = `${at.hub.url}/acme/story-GGUF/resolve/main/story.gguf`;
    const path = (await at.pull(url)).last.local_path!;
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    assert.deepEqual(await verify(at, url), { model_ref: url, result: "ok", digest });
    // As a hive leaves it that is killed between the file's name and its row.
    await at.call("POST /v1/models/remove", { model_ref: url });
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeFileSync(path, bytes);
    const notes = { size: bytes.length, sha256: null, etag: null, found: digest.slice(7) };
    Deno.writeTextFileSync(`${path}.part.json`, JSON.stringify(notes));
    assert.equal((await at.ask(url)).json.local_path, path as unknown);
    assert.deepEqual([(await rows(at))[0].digest, (await verify(at, url)).result], [digest, "ok"]);
  }));

Deno.test("what lies there and nobody has checked is not given the hub's digest", () =>
  inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": bytes });
    await rows(at);
    const path = `${at.models}/hf/acme/story-GGUF/main/story-Q4_K_M.gguf`;
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeFileSync(path, modelOf(bytes.length, 2));
    assert.equal((await at.ask(ref)).json.local_path, path as unknown);
    assert.equal((await rows(at))[0].digest, null);
  }));

Deno.test("whoever asks for a model that others have just left finds it going on, and not canceled", () =>
  inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": bytes });
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 1024 * 1024 });
    const leave = new AbortController();
    const first = String((await at.ask(ref)).json.download_id);
    await at.follow(first, () => leave.abort(), leave.signal).catch(() => {}); // we left
    await pause(limits.downloadLingerMs * 0.7);
    const again = String((await at.ask(ref)).json.download_id);
    await pause(limits.downloadLingerMs * 0.7);
    assert.equal((await at.follow(again)).last.stage, "complete");
  }));

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
