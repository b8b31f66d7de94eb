import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { inHubWorld, modelOf } from "../support/hub_world.ts";

const fiveMb = modelOf(5 * 1024 * 1024);
const ref = "hf:acme/story-GGUF:Q4_K_M";
const path = "/hf/acme/story-GGUF/main/story-Q4_K_M.gguf";

Deno.test("a break is told and gone on from; every byte of the file comes once", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": fiveMb, "story-Q8_0.gguf": fiveMb });
    at.hub.faults.add({ on: "bytes", cutAt: 2 * 1024 * 1024, times: 1 });
    const { events, words, last } = await at.pull(ref);
    assert.equal(last.stage, "complete");
    assert.deepEqual(last.local_path, at.models + path);
    assert.equal(events.at(-1)?.data, "[DONE]");
    assert.deepEqual(words, [
      "Error: Connection reset by peer",
      "🔄 Retrying the download (attempt 2/6, delay 100ms)",
    ]);
    assert.deepEqual(JSON.parse(events[0].data).bytes_total, fiveMb.length);
    assert.deepEqual(Deno.readFileSync(at.models + path), fiveMb);
    assert.equal(at.hub.bytesSent("Q4_K_M"), fiveMb.length);
    assert.deepEqual(at.files(), [at.models + path], "no part is left");
    const again = await at.ask(ref);
    assert.equal(again.json.local_path, at.models + path);
    assert.match((await at.call("GET /metrics")).text, /rbee_hive_model_bytes_total\{source="hub"\} 5242880/);
  });
});

Deno.test("after six tries the error says so, and the next pull goes on", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": fiveMb });
    at.hub.faults.add({ on: "bytes", cutAt: 2 * 1024 * 1024 });
    const { last, words } = await at.pull(ref);
    assert.equal(last.stage, "error");
    assert.equal(last.error?.code, "DOWNLOAD_FAILED");
    assert.match(last.message ?? "", /6 attempts/);
    assert.equal(words.filter((line) => line.startsWith("Error:")).length, 5);
    assert.match(words.at(-1) ?? "", /attempt 6\/6, delay 1.6s/);
    at.hub.faults.clear();
    assert.equal((await at.pull(ref)).last.stage, "complete");
    assert.equal(at.hub.bytesSent("Q4_K_M"), fiveMb.length);
  });
});

Deno.test("no byte for the stall time-out is a break, and at last DOWNLOAD_TIMEOUT", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": fiveMb });
    at.hub.faults.add({ on: "bytes", stallAt: 1024 * 1024, times: 1 });
    const { last, words } = await at.pull(ref);
    assert.equal(last.stage, "complete");
    assert.equal(words[0], "Error: no bytes came for 0.3 s");
    at.hub.faults.add({ on: "bytes", stallAt: 0 });
    await at.hub.add("acme/other-GGUF", { "story-Q4_K_M.gguf": fiveMb });
    const silent = await at.pull("hf:acme/other-GGUF");
    assert.equal(silent.last.error?.code, "DOWNLOAD_TIMEOUT");
    assert.match(silent.last.message ?? "", /no bytes came for 0.3 s \(6 attempts\)/);
  }, { prepare: ({ world }) => world.configure({ models: { stall_timeout_s: 0.3 } }) });
});

Deno.test("a hive that is told to end lets go of a download at once; the next one goes on", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": fiveMb });
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 1024 * 1024 });
    const follower = at.follow(String((await at.ask(ref)).json.download_id));
    await eventually(() => at.hub.bytesSent("Q4_K_M") > 1_000_000, { withinMs: 3_000, what: "it is under way" });
    const [hive] = at.world.programs;
    hive.signal("SIGTERM");
    assert.equal((await follower).last.error?.code, "REQUEST_CANCELED");
    assert.equal((await hive.ends(3_000)).code, 0);
    const here = Deno.statSync(`${at.models}${path}.part`).size;
    assert.ok(here > 500_000, `${here} bytes are kept`);
    at.hub.faults.clear();
    at.hub.log.length = 0;
    await at.world.startHive();
    assert.equal((await at.pull(ref)).last.stage, "complete");
    assert.equal(at.hub.bytesSent("Q4_K_M"), fiveMb.length - here);
  });
});

Deno.test("one model is fetched once however many ask; it ends when nobody follows it, and goes on later", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": fiveMb });
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 2 * 1024 * 1024 });
    const refs = [ref, "hf:acme/story-GGUF", "hf:acme/story-GGUF:story-Q4_K_M.gguf", "hf:acme/story-GGUF@main"];
    const ids = await Promise.all(refs.map(async (one) => (await at.ask(one)).json.download_id));
    assert.equal(new Set(ids).size, 1, ids.join(" "));
    const left = new AbortController();
    const follower = at.follow(String(ids[0]), ({ data }) => {
      if (data !== "[DONE]" && JSON.parse(data).bytes_downloaded > 1024 * 1024) left.abort();
    }, left.signal);
    await assert.rejects(follower);
    await eventually(async () => (await at.downloads())[0].state === "canceled", {
      withinMs: 3_000,
      what: "a download that nobody follows ends",
    });
    at.hub.faults.clear();
    const sent = at.hub.bytesSent("Q4_K_M");
    const followers = await Promise.all([at.pull(ref), at.pull(ref), at.pull(refs[1])]);
    assert.deepEqual(followers.map(({ last }) => last.stage), ["complete", "complete", "complete"]);
    const more = at.hub.bytesSent("Q4_K_M") - sent;
    assert.ok(more < fiveMb.length - 1024 * 1024 + 1, `it went on from what was here: ${more} bytes more`);
  });
});

Deno.test("a download that is cancelled ends at once and is told; its part stays", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": fiveMb });
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 1024 * 1024 });
    const { json } = await at.ask(ref);
    const follower = at.follow(String(json.download_id));
    await eventually(() => at.hub.bytesSent("Q4_K_M") > 500_000, { withinMs: 3_000, what: "it is under way" });
    assert.equal((await at.call(`DELETE /v1/models/download/${json.download_id}`)).json.state, "canceled");
    const { last } = await follower;
    assert.equal(last.error?.code, "REQUEST_CANCELED");
    assert.deepEqual(at.files().map((file) => file.replace(at.models + path, "")).sort(), [".part", ".part.json"]);
    assert.equal((await at.call("DELETE /v1/models/download/none")).status, 404);
  });
});
