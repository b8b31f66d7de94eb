import assert from "node:assert/strict";
import { tinyGguf } from "../../native/tiny.ts";
import { parseEvents, parseText } from "../../protocol/sse.ts";
import { dirname, join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { inWorld, nextInferWorks, oneWorkerIs } from "../support/flows.ts";
import { type Wire, World } from "../support/world.ts";

const tiny = Deno.readFileSync(tinyGguf());
const tinySha = "sha256:" + await sha256(tiny);

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function put(path: string, bytes: Uint8Array = tiny): string {
  Deno.mkdirSync(dirname(path), { recursive: true });
  Deno.writeFileSync(path, bytes);
  return path;
}

const list = async (world: World) => {
  const { json } = await world.call({ who: "hive" }, "GET /v1/models");
  return json.models as unknown as Record<string, unknown>[];
};

/** Posts to a stream and returns its events that are no progress, and the progress. */
async function longWork(world: World, request: string, body: unknown): Promise<{ last: Wire; stages: string[] }> {
  const answer = await world.call({ who: "hive" }, `POST ${request}`, { body });
  assert.equal(answer.status, 200, answer.text);
  const events = parseText(answer.text);
  assert.equal(events.at(-1)?.data, "[DONE]");
  const last = JSON.parse(events.at(-2)!.data);
  return { last, stages: events.filter(({ event }) => event === "progress").map(({ data }) => JSON.parse(data).stage) };
}

const hubFile = (world: World, name: string) => join(world.home, `models/hf/org/repo/main/${name}`);

Deno.test("a damaged catalog is kept aside and made again from the folder; parts and strangers stay out", () =>
  inWorld(async (world) => {
    put(hubFile(world, "tiny.Q8_0.gguf"));
    put(hubFile(world, "half.Q4_0.gguf.part"), tiny.subarray(0, 1000));
    put(hubFile(world, "noise.Q4_0.gguf"), new Uint8Array(5000));
    put(join(world.home, "models/import/mine.gguf"));
    put(join(world.home, "elsewhere.gguf"));
    Deno.symlinkSync(join(world.home, "elsewhere.gguf"), join(world.home, "models/import/link.gguf"));
    put(join(world.home, "models.db"), new Uint8Array(8192).fill(7));
    await world.startHive();
    const rows = await list(world);
    assert.deepEqual(rows.map((row) => [row.provider, row.reference, row.variant, row.digest]).sort(), [
      ["hf", "org/repo", "Q8_0", null],
      ["import", "mine", "", null],
    ]);
    assert.ok([...Deno.readDirSync(world.home)].some(({ name }) => name.startsWith("models.db.damaged-")));
    assert.match(Deno.readTextFileSync(join(world.home, "logs/hive.log")), /noise\.Q4_0\.gguf/);
    const spawned = await world.call({ who: "hive" }, "POST /v1/workers/spawn", { body: { model_ref: "hf:org/repo" } });
    assert.equal(spawned.status, 200, spawned.text);
    const [used] = (await list(world)).filter((row) => row.provider === "hf");
    assert.equal(used.use_count, 1);
    assert.ok(Number(used.last_used_unix) > 1_700_000_000);
    const refused = await world.call({ who: "hive" }, "POST /v1/models/remove", {
      body: { model_ref: "hf:org/repo:q8_0" },
    });
    assert.deepEqual([refused.status, refused.json.error.code], [409, "MODEL_IN_USE"]);
  }, () => new World()));

Deno.test("verify finds the flipped byte, keeps a digest that nobody told, and a damaged model is not used", () =>
  inWorld(async (world) => {
    const path = put(hubFile(world, "tiny.Q8_0.gguf"));
    await world.startHive();
    const body = { model_ref: "hf:org/repo:Q8_0" };
    const first = await longWork(world, "/v1/models/verify", body);
    assert.deepEqual(first.last, { model_ref: body.model_ref, result: "unknown-digest", digest: tinySha } as unknown);
    assert.ok(first.stages.includes("verifying"));
    assert.equal((await longWork(world, "/v1/models/verify", body)).last.result, "ok" as unknown);
    // One bit, and the time put back: what a bad disk does.
    const { mtime } = Deno.statSync(path);
    const bytes = tiny.slice();
    bytes[2_000_000] ^= 1;
    Deno.writeFileSync(path, bytes);
    Deno.utimeSync(path, mtime!, mtime!);
    assert.equal((await longWork(world, "/v1/models/verify", body)).last.result, "damaged" as unknown);
    assert.equal((await list(world)).find((row) => row.provider === "hf")?.damaged, true);
    const spawn = await world.call({ who: "hive" }, "POST /v1/workers/spawn", { body });
    assert.equal(spawn.json.error.code, "MODEL_LOAD_FAILED" as unknown);
    assert.match(spawn.text, /rbee models pull hf:org\/repo:Q8_0/);
    Deno.removeSync(path);
    assert.equal((await longWork(world, "/v1/models/verify", body)).last.result, "missing" as unknown);
    const gone = await world.call({ who: "hive" }, "POST /v1/models/verify", { body });
    assert.equal(gone.json.error.code, "MODEL_NOT_FOUND" as unknown);
  }, () => new World()));

Deno.test("the bytes of a model come from any offset, with their length and digest, and are counted", () =>
  inWorld(async (world) => {
    put(hubFile(world, "tiny.Q8_0.gguf"));
    await world.startHive();
    await longWork(world, "/v1/models/verify", { model_ref: "hf:org/repo" });
    const get = (query: string) => world.open({ who: "hive" }, `GET /v1/models/bytes?model_ref=hf:org/repo&${query}`);
    const whole = await get("");
    assert.equal(whole.headers.get("content-length"), String(tiny.length));
    assert.equal(whole.headers.get("x-rbee-digest"), tinySha);
    assert.equal(await sha256(new Uint8Array(await whole.arrayBuffer())), tinySha.slice(7));
    const rest = await get(`offset=${tiny.length - 10}`);
    assert.deepEqual(new Uint8Array(await rest.arrayBuffer()), tiny.subarray(-10));
    assert.equal((await (await get(`offset=${tiny.length}`)).arrayBuffer()).byteLength, 0);
    for (const query of [`offset=${tiny.length + 1}`, "file=1"]) {
      const refused = await get(query);
      assert.equal((await refused.json()).error.code, "INVALID_REQUEST");
    }
    const metrics = await (await fetch(`${world.hiveUrl()}/metrics`)).text();
    assert.match(metrics, new RegExp(`rbee_hive_model_bytes_sent_total ${tiny.length + 10}\\b`));
  }, () => new World()));

Deno.test("what is removed is what rbee owns, with parts and empty folders; of a person's own file only the row goes", () =>
  inWorld(async (world) => {
    const path = put(hubFile(world, "tiny.Q8_0.gguf"));
    put(`${path}.part.json`, new TextEncoder().encode("{}"));
    put(hubFile(world, "other.Q4_0.gguf.part"), new Uint8Array(10));
    const own = put(join(world.userHome, "own.gguf"));
    await world.startHive();
    const remove = async (model_ref: string) =>
      (await world.call({ who: "hive" }, "POST /v1/models/remove", { body: { model_ref } })).json as unknown as Record<
        string,
        unknown
      >;
    assert.deepEqual(await remove("hf:org/repo:Q8_0"), {
      model_ref: "hf:org/repo:Q8_0",
      removed_bytes: tiny.length + 0,
      kept: [],
    });
    assert.deepEqual([...Deno.readDirSync(dirname(path))].map(({ name }) => name), ["other.Q4_0.gguf.part"]);
    assert.equal((await remove("hf:org/repo")).removed_bytes, 10);
    assert.deepEqual([...Deno.readDirSync(join(world.home, "models/hf"))], []);
    const imported = await longWork(world, "/v1/models/verify", { model_ref: `file:${own}` });
    assert.equal(imported.last.result, "unknown-digest" as unknown);
    assert.deepEqual(await remove("own"), { model_ref: `file:${own}`, removed_bytes: 0, kept: [own] });
    assert.deepEqual(Deno.readFileSync(own), tiny);
    const again = await world.call({ who: "hive" }, "POST /v1/models/remove", { body: { model_ref: `file:${own}` } });
    assert.equal(again.json.error.code, "MODEL_NOT_FOUND" as unknown);
  }, () => new World()));

Deno.test("a GGUF file is imported by a hard link, and outlives its original", () =>
  inWorld(async (world) => {
    const own = put(join(world.userHome, "My Model.gguf"));
    await world.startHive();
    const { last } = await longWork(world, "/v1/models/import", { path: own });
    const [model] = last.models as unknown as Record<string, unknown>[];
    assert.deepEqual([model.provider, model.reference, last.skipped], ["import", "My-Model", []]);
    assert.equal(Deno.statSync(model.local_path as string).ino, Deno.statSync(own).ino);
    Deno.removeSync(own);
    const body = { model_ref: "import:My-Model" };
    assert.equal((await world.call({ who: "hive" }, "POST /v1/workers/spawn", { body })).status, 200);
    await oneWorkerIs(world, "idle", 10_000);
  }, () => new World()));

Deno.test("a model that no row tells of is found after a hive was killed, and the next infer works", () =>
  inWorld(async (world) => {
    await nextInferWorks(world);
    await world.down().catch(() => {});
    put(hubFile(world, "tiny.Q8_0.gguf"));
    put(
      hubFile(world, "tiny.Q8_0.gguf.part.json"),
      new TextEncoder().encode(JSON.stringify({ size: tiny.length, sha256: tinySha.slice(7), etag: null })),
    );
    await world.startHive();
    const rows = await list(world);
    assert.deepEqual(rows.map((row) => [row.provider, row.digest]).sort(), [["builtin", tinySha], ["hf", tinySha]]);
  }, () => new World()));

Deno.test("a file from the web is found in the folder of its address although no row tells of it", () =>
  inWorld(async (world) => {
    const url = "https://example.org/models/tiny.gguf";
    const folder = (await sha256(new TextEncoder().encode(url))).slice(0, 16);
    put(join(world.home, `models/http/${folder}/tiny.gguf`));
    await world.startHive();
    assert.deepEqual(await list(world), [], "a folder's name tells no address");
    const verified = await longWork(world, "/v1/models/verify", { model_ref: url });
    assert.equal(verified.last.digest, tinySha as unknown);
    assert.deepEqual((await list(world)).map((row) => [row.provider, row.reference]), [["http", url]]);
  }, () => new World()));

Deno.test("whoever listens to a hive sees its models come and go", () =>
  inWorld(async (world) => {
    await world.startHive();
    const gone = new AbortController();
    const events = await world.open({ who: "hive" }, "GET /v1/events", { signal: gone.signal });
    let seen: string[] = ["nothing yet"];
    let told = 0;
    const reading = (async () => {
      for await (const event of parseEvents(events.body!)) {
        if (event.event !== "status") continue;
        const models = JSON.parse(event.data).models as { ref: string; shape: { layers: number } }[] | undefined;
        told += Number(models !== undefined);
        if (models) seen = models.map(({ ref, shape }) => `${ref} ${shape.layers}`);
      }
    })().catch(() => {}); // we leave
    const own = put(join(world.userHome, "own.gguf"));
    const sees = (what: string[]) =>
      eventually(() => seen.join() === what.join(), {
        withinMs: 5_000,
        what: `the models are ${what}`,
        seen: () => seen.join(),
      });
    await sees([]);
    await longWork(world, "/v1/models/import", { path: own });
    await sees(["import:own 5"]);
    Deno.removeSync(join(world.home, "models/import/own.gguf"));
    assert.deepEqual(await list(world), [], "a file that is gone is noticed");
    await sees([]);
    // what did not change is not told again
    const body = { model_ref: "builtin:tiny" };
    await world.call({ who: "hive" }, "POST /v1/workers/spawn", { body });
    await oneWorkerIs(world, "idle", 10_000);
    await sees(["builtin:tiny 5"]);
    assert.equal(told, 4);
    gone.abort();
    await reading;
  }, () => new World()));

Deno.test("a folder that became a link is not followed when its model is removed", () =>
  inWorld(async (world) => {
    const path = put(hubFile(world, "tiny.Q8_0.gguf"));
    const other = put(join(world.userHome, "other/tiny.Q8_0.gguf"));
    await world.startHive();
    assert.equal((await list(world)).length, 1);
    Deno.removeSync(dirname(path), { recursive: true });
    Deno.symlinkSync(dirname(other), dirname(path));
    const { json } = await world.call({ who: "hive" }, "POST /v1/models/remove", {
      body: { model_ref: "hf:org/repo" },
    });
    assert.deepEqual(json.kept, [path] as unknown);
    assert.deepEqual(Deno.readFileSync(other), tiny);
    assert.deepEqual(await list(world), []);
  }, () => new World()));
