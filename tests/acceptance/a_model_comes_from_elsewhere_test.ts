import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { RbeeError } from "../../protocol/error.ts";
import { hiveRoutes } from "../../protocol/hive_routes.ts";
import { call } from "../../runtime/call.ts";
import { type HubWorld, inHubWorld, modelOf } from "../support/hub_world.ts";

const fourMb = modelOf(4 * 1024 * 1024, 1);
const threeMb = modelOf(3 * 1024 * 1024, 2);
const repo = "acme/story-GGUF";
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

Deno.test("what a reference means is told with size, digest, shape and what is missing, without fetching it", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add(repo, { "story-Q4_K_M.gguf": fourMb, "story-Q8_0.gguf": threeMb });
    const lookUp = async (ref: string) => (await at.call("POST /v1/models/lookup", { model_ref: ref })).json;
    const facts = await lookUp(`hf:${repo}:q4_k_m`);
    assert.equal(facts.size_bytes, fourMb.length);
    assert.equal(facts.digest, `sha256:${sha256(fourMb)}`);
    assert.equal(facts.quantization, "Q4_K_M");
    assert.equal(facts.shape.architecture, "llama");
    assert.ok(Number(facts.shape.layers) > 0 && Number(facts.shape.kv_elements_per_token) > 0);
    assert.deepEqual([facts.local_path, facts.download_bytes], [null, fourMb.length]);
    assert.ok(at.hub.bytesSent("Q4_K_M") < fourMb.length, "only the header was read");
    assert.deepEqual(at.files(), []);
    const ambiguous = await lookUp(`hf:${repo}`);
    assert.equal(ambiguous.error.code, "MODEL_AMBIGUOUS");
    const variants = ambiguous.error.details.variants as unknown as { name: string; fits: boolean }[];
    assert.deepEqual(variants.map(({ name, fits }) => [name, fits]), [["Q4_K_M", true], ["Q8_0", true]]);
    assert.equal((await lookUp(`hf:${repo}:Q2_K`)).error.code, "MODEL_NOT_FOUND");
    assert.equal((await lookUp("hf:acme/none")).error.code, "MODEL_NOT_FOUND");
    assert.match(String((await lookUp(`hf:${repo}:Q8_0@v9`)).error.message), /no revision v9/);
    at.hub.faults.add({ on: "bytes", cutAt: 1024 * 1024 });
    await at.pull(`hf:${repo}:Q4_K_M`);
    const after = await lookUp(`hf:${repo}:q4_k_m`);
    assert.equal(after.download_bytes, fourMb.length - 1024 * 1024, "a part of it is here");
    assert.equal((await lookUp("builtin:tiny")).download_bytes, 0);
  });
});

Deno.test("a split model is one: its files in order, its size their sum, one download", async () => {
  await inHubWorld(async (at) => {
    const names = ["big/story-Q4_K_M-00001-of-00002.gguf", "big/story-Q4_K_M-00002-of-00002.gguf"];
    await at.hub.add(repo, { [names[1]]: threeMb, [names[0]]: fourMb, "mmproj-story-f16.gguf": threeMb });
    const { last, events } = await at.pull(`hf:${repo}`);
    assert.equal(last.local_path, `${at.models}/hf/${repo}/main/${names[0]}`);
    assert.equal(JSON.parse(events[0].data).bytes_total, fourMb.length + threeMb.length);
    assert.deepEqual(at.files().sort(), names.map((name) => `${at.models}/hf/${repo}/main/${name}`));
    const [model] = (await at.call("GET /v1/models")).json.models as unknown as Record<string, unknown>[];
    assert.equal(model.size_bytes, fourMb.length + threeMb.length);
    assert.equal(model.provider, "hf");
    assert.equal(model.reference, repo);
  });
});

Deno.test("a model on a web server is fetched by its address, and must be a model", async () => {
  await inHubWorld(async (at) => {
    const page = new TextEncoder().encode(`<html>Please log in${" ".repeat(100_000)}</html>`);
    await at.hub.add(repo, { "story.gguf": fourMb, "page.gguf": page });
    const url = `${at.hub.url}/${repo}/resolve/main/story.gguf`;
    at.hub.faults.add({ on: "bytes", method: "HEAD", status: 403, times: 1 }); // signed for GET
    at.hub.faults.add({ on: "bytes", method: "GET", cutAt: 1024 * 1024, how: "close", times: 2 });
    const { last } = await at.pull(url);
    assert.equal(last.stage, "complete", last.message);
    assert.match(last.local_path ?? "", /\/models\/http\/[0-9a-f]{16}\/story\.gguf$/);
    assert.deepEqual(Deno.readFileSync(last.local_path ?? ""), fourMb);
    const first = 1; // was asked for to learn the length
    assert.equal(at.hub.bytesSent("story"), first + fourMb.length, "it went on after the break");
    assert.match((await at.call("GET /metrics")).text, /rbee_hive_model_bytes_total\{source="http"\} 4194304/);
    const wrong = await at.pull(`${at.hub.url}/${repo}/resolve/main/page.gguf`);
    assert.equal(wrong.last.error?.code, "MODEL_LOAD_FAILED");
    assert.match(wrong.last.message ?? "", /no GGUF file/);
    assert.deepEqual(at.files().length, 1, "and nothing of it is left");
    assert.equal((await at.ask(`${at.hub.url}/${repo}/resolve/main/none.gguf`)).json.error.code, "MODEL_NOT_FOUND");
  });
});

/** Returns the model with a header that calls it an adapter; two pairs more, together 64 bytes, keep what follows in its place. */
function adapterOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = (
    value: string,
  ) => [...new Uint8Array(new BigUint64Array([BigInt(value.length)]).buffer), ...Buffer.from(value)];
  const pairs = [...text("general.type"), 8, 0, 0, 0, ...text("adapter"), ...text("general.fill"), 0, 0, 0, 0, 0];
  const whole = new Uint8Array([...bytes.subarray(0, 24), ...pairs, ...bytes.subarray(24)]);
  whole[16] += 2;
  return whole;
}

Deno.test("a whole file that is no language model is refused and not kept", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add(repo, { "story-lora-F16.gguf": adapterOf(modelOf(0)) });
    const { last } = await at.pull(`hf:${repo}`);
    assert.equal(last.error?.code, "MODEL_INCOMPATIBLE", last.message);
    assert.match(last.message ?? "", /story-lora-F16\.gguf: it is an adapter, no language model/);
    assert.deepEqual(at.files(), []);
  });
});

/** Sends bytes as a queen does that brings them from another hive. Returns the answer, or the error's code and details. */
async function send(
  at: HubWorld,
  id: string,
  [file, offset]: [file: number, offset: number],
  bytes: Uint8Array<ArrayBuffer>,
): Promise<{ offset?: number; complete?: boolean; code?: string; details?: unknown }> {
  const peer = { program: "rbee-hive", base: at.world.hiveUrl(), token: at.world.token("hive") };
  const upload = new Blob([bytes]).stream();
  try {
    return await call(peer, hiveRoutes.receiveModel, { params: { id }, query: { file, offset }, upload });
  } catch (error) {
    if (!(error instanceof RbeeError)) throw error;
    return { code: error.code, details: error.details };
  }
}

Deno.test("another hive's bytes are taken in order, gone on with, and verified by what the hub tells", async () => {
  await inHubWorld(async (at) => {
    const names = ["story-Q4_K_M-00001-of-00002.gguf", "story-Q4_K_M-00002-of-00002.gguf"];
    await at.hub.add(repo, { [names[0]]: fourMb, [names[1]]: threeMb });
    const body = { model_ref: `hf:${repo}`, source: "peer" };
    const { json } = await at.call("POST /v1/models/download", body);
    const id = String(json.download_id);
    assert.deepEqual(json.files, [fourMb, threeMb].map(({ length }) => ({ size_bytes: length, offset: 0 })) as never);
    const follower = at.follow(id);
    const sent = at.hub.bytesSent();
    assert.deepEqual(await send(at, id, [0, 0], fourMb.slice(0, 1_000_000)), { offset: 1_000_000, complete: false });
    const refused = await send(at, id, [0, 5], fourMb.slice(5, 1_000));
    assert.deepEqual(refused, { code: "INVALID_REQUEST", details: { file: 0, offset: 1_000_000 } });
    assert.equal((await send(at, id, [0, 1_000_000], fourMb.slice(1_000_000))).offset, fourMb.length);
    assert.deepEqual(await send(at, id, [1, 0], threeMb), { offset: threeMb.length, complete: true });
    assert.equal((await follower).last.local_path, `${at.models}/hf/${repo}/main/${names[0]}`);
    assert.equal(at.hub.bytesSent(), sent, "none came from the hub");
    assert.match((await at.call("GET /metrics")).text, /rbee_hive_model_bytes_total\{source="peer"\} 7340032/);
    assert.equal((await send(at, id, [0, 0], threeMb.slice(0, 9))).code, "INVALID_REQUEST");
  });
});

Deno.test("bytes of another hive that are not the hub's are refused; without the hub the sender's word counts", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add(repo, { "story-Q4_K_M.gguf": fourMb });
    const model_ref = `hf:${repo}:Q4_K_M`;
    const wrong = fourMb.slice();
    wrong[4_000_000] ^= 1;
    const begin = async (more = {}) =>
      (await at.call("POST /v1/models/download", { model_ref, source: "peer", ...more })).json;
    const first = String((await begin()).download_id);
    const follower = at.follow(first);
    assert.equal((await send(at, first, [0, 0], wrong)).code, "CHECKSUM_MISMATCH");
    assert.equal((await follower).last.error?.code, "CHECKSUM_MISMATCH");
    assert.deepEqual(at.files(), []);
    const silent = at.follow(String((await begin()).download_id));
    assert.equal((await silent).last.error?.code, "DOWNLOAD_TIMEOUT", "a sender that is gone holds up nobody");
    at.hub[Symbol.dispose]();
    const files = [{ path: "story-Q4_K_M.gguf", size_bytes: fourMb.length, sha256: sha256(fourMb) }];
    const other = { model_ref: `${model_ref}@main`, files };
    const second = String((await begin(other)).download_id);
    const told = at.follow(second);
    assert.equal((await send(at, second, [0, 0], fourMb)).complete, true);
    assert.equal((await told).last.stage, "complete");
  });
});
