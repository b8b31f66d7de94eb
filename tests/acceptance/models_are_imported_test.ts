import assert from "node:assert/strict";
import { tinyGguf } from "../../native/tiny.ts";
import { parseText } from "../../protocol/sse.ts";
import { dirname, join } from "../../runtime/path.ts";
import { inWorld, oneWorkerIs } from "../support/flows.ts";
import { splitTiny } from "../support/split_gguf.ts";
import { World } from "../support/world.ts";

const tiny = Deno.readFileSync(tinyGguf());
const tinyHex = await sha256(tiny);

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function put(path: string, content: Uint8Array | string = tiny): string {
  Deno.mkdirSync(dirname(path), { recursive: true });
  Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  return path;
}

interface Imported {
  readonly models: {
    provider: string;
    reference: string;
    variant: string;
    local_path: string;
    digest: string | null;
    id: string;
  }[];
  readonly skipped: { path: string; reason: string }[];
  readonly error?: { code: string; message: string };
}

async function importFrom(world: World, path: string): Promise<Imported> {
  const answer = await world.call({ who: "hive" }, "POST /v1/models/import", { body: { path } });
  if (answer.status !== 200) return answer.json as unknown as Imported;
  const events = parseText(answer.text);
  assert.equal(events.at(-1)?.data, "[DONE]");
  return JSON.parse(events.at(-2)!.data);
}

const refs = ({ models }: Imported) =>
  models.map(({ provider, reference, variant }) => `${provider}:${reference}${variant && `:${variant}`}`).sort();

function manifest(world: World, name: string, content: unknown): string {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return put(join(world.userHome, ".ollama/models/manifests", name), text);
}

const layers = (digest: string, ...more: string[]) => ({
  schemaVersion: 2,
  layers: [
    { mediaType: "application/vnd.ollama.image.model", digest, size: tiny.length },
    ...more.map((kind) => ({ mediaType: `application/vnd.ollama.image.${kind}`, digest: `sha256:${"0".repeat(64)}` })),
  ],
});

Deno.test("the models of an Ollama folder are taken by hard link, under their own names, and work", () =>
  inWorld(async (world) => {
    const ollama = join(world.userHome, ".ollama");
    const blob = put(join(ollama, `models/blobs/sha256-${tinyHex}`));
    manifest(world, "registry.ollama.ai/library/llama3/8b", layers(`sha256:${tinyHex}`, "license", "template"));
    manifest(world, "registry.ollama.ai/library/llama3/latest", layers(`sha256:${tinyHex}`, "projector"));
    manifest(world, "registry.ollama.ai/someone/theirs/v1", layers(`sha256:${tinyHex}`));
    manifest(world, "hf.co/org/repo/Q8_0", layers(`sha256:${tinyHex}`));
    // what must not be taken
    manifest(world, "registry.ollama.ai/library/tuned/1", layers(`sha256:${tinyHex}`, "adapter"));
    manifest(world, "registry.ollama.ai/library/evil/1", layers(`sha256:../../../../etc/passwd`));
    manifest(world, "registry.ollama.ai/library/gone/1", layers(`sha256:${"1".repeat(64)}`));
    manifest(world, "registry.ollama.ai/library/torn/1", "{");
    manifest(world, "registry.ollama.ai/library/types/1", { layers: { length: 1e9 } });
    manifest(world, "registry.ollama.ai/library/huge/1", " ".repeat(1_100_000));
    manifest(world, "registry.ollama.ai/library/empty/1", { layers: [] });
    manifest(world, "registry.ollama.ai/library/-odd name/1", layers(`sha256:${tinyHex}`));
    const outside = put(join(world.userHome, "outside.gguf"));
    Deno.symlinkSync(outside, join(ollama, `models/blobs/sha256-${"2".repeat(64)}`));
    manifest(world, "registry.ollama.ai/library/linked/1", layers(`sha256:${"2".repeat(64)}`));
    Deno.symlinkSync("..", join(ollama, "models/manifests/registry.ollama.ai/loop"));
    await world.startHive();
    const taken = await importFrom(world, ollama);
    assert.deepEqual(refs(taken), [
      "import:ollama/hf.co/org/repo:Q8_0",
      "import:ollama/llama3:8b",
      "import:ollama/llama3:latest",
      "import:ollama/someone/theirs:v1",
    ]);
    assert.deepEqual(taken.skipped.map(({ path }) => path.split("/").slice(-2)[0]).sort(), [
      "-odd name",
      "empty",
      "evil",
      "gone",
      "huge",
      "linked",
      "registry.ollama.ai",
      "torn",
      "tuned",
      "types",
    ]);
    assert.ok(taken.models.every(({ digest }) => digest === `sha256:${tinyHex}`));
    assert.equal(Deno.statSync(taken.models[0].local_path).ino, Deno.statSync(blob).ino, "no byte was copied");
    const again = await importFrom(world, join(ollama, "models"));
    assert.deepEqual(again.models.map(({ id }) => id).sort(), taken.models.map(({ id }) => id).sort());
    const body = { model_ref: "import:ollama/llama3" };
    assert.equal((await world.call({ who: "hive" }, "POST /v1/workers/spawn", { body })).status, 200);
    await oneWorkerIs(world, "idle", 10_000);
  }, () => new World()));

Deno.test("a Hugging Face cache gives the very models that a download would, its digests included", () =>
  inWorld(async (world) => {
    const cache = join(world.userHome, ".cache/huggingface");
    const [main, old] = ["a".repeat(40), "b".repeat(40)];
    const repository = join(cache, "hub/models--org--some--repo-GGUF");
    put(join(repository, "blobs", tinyHex));
    put(join(repository, "refs/main"), main);
    const snapshot = (commit: string, file: string, target = `../../blobs/${tinyHex}`) => {
      Deno.mkdirSync(dirname(join(repository, "snapshots", commit, file)), { recursive: true });
      Deno.symlinkSync(target, join(repository, "snapshots", commit, file));
    };
    snapshot(main, "model.Q8_0.gguf");
    snapshot(main, "README.md");
    snapshot(main, "sub/other.gguf", `../../../blobs/${tinyHex}`);
    snapshot(main, "leads-out.gguf", put(join(world.userHome, "outside.gguf")));
    snapshot(main, "circle.gguf", "circle.gguf");
    snapshot(main, "broken.gguf", "../../blobs/none");
    snapshot(old, "model.Q8_0.gguf");
    put(join(cache, "hub/models--gpt2/snapshots", main, "gpt2.gguf"));
    put(join(cache, "hub/datasets--x--y/snapshots", main, "data.gguf"));
    await world.startHive();
    const taken = await importFrom(world, cache);
    assert.deepEqual(refs(taken), [
      `hf:org/some--repo-GGUF:Q8_0`,
      `hf:org/some--repo-GGUF:Q8_0@${old}`,
      `hf:org/some--repo-GGUF:sub/other.gguf`,
    ]);
    assert.deepEqual(taken.skipped.map(({ path }) => path.split("/").at(-1)).sort(), [
      "broken.gguf",
      "circle.gguf",
      "leads-out.gguf",
      "models--gpt2",
    ]);
    const [first] = taken.models;
    assert.equal(first.local_path, join(world.home, "models/hf/org/some--repo-GGUF/main/model.Q8_0.gguf"));
    assert.equal(first.digest, `sha256:${tinyHex}`);
    for (const ref of ["hf:org/some--repo-GGUF:q8_0", "hf:org/some--repo-GGUF:model.Q8_0.gguf"]) {
      const bytes = await world.open({ who: "hive" }, `GET /v1/models/bytes?model_ref=${ref}&offset=${tiny.length}`);
      assert.equal(bytes.status, 200, ref);
      await bytes.body?.cancel();
    }
    const which = await world.call({ who: "hive" }, "GET /v1/models/bytes?model_ref=hf:org/some--repo-GGUF");
    assert.equal(which.json.error.code, "MODEL_AMBIGUOUS" as unknown);
    assert.match(which.text, /"name":"sub\/other.gguf"/);
  }, () => new World()));

Deno.test("what is no model is left with a reason, and two files of one name are two models", () =>
  inWorld(async (world) => {
    const folder = join(world.userHome, "m");
    put(join(folder, "a/same.gguf"));
    put(join(folder, "b/same.gguf"), new Uint8Array([...tiny, 0]));
    put(join(folder, "noise.gguf"), new Uint8Array(1000).fill(3));
    put(join(folder, "cut.gguf"), tiny.subarray(0, 100_000));
    put(join(folder, "notes.txt"), "no model");
    await splitTiny(folder, 3, "whole");
    const [, second] = await splitTiny(folder, 3, "torn");
    Deno.removeSync(second);
    await world.startHive();
    const taken = await importFrom(world, folder);
    assert.deepEqual(refs(taken), ["import:same", "import:same-2", "import:whole"]);
    assert.deepEqual(taken.skipped.map(({ path, reason }) => [path.slice(folder.length + 1), reason]), [
      ["cut.gguf", "the file is truncated or damaged"],
      ["noise.gguf", "it is no GGUF file"],
      ["torn-00001-of-00003.gguf", "no such file"],
    ]);
    assert.deepEqual(refs(await importFrom(world, folder)), refs(taken), "the same again is the same");
    assert.equal((await importFrom(world, join(folder, "noise.gguf"))).error?.code, "MODEL_LOAD_FAILED");
    assert.equal((await importFrom(world, join(folder, "none.gguf"))).error?.code, "MODEL_NOT_FOUND");
    assert.equal((await importFrom(world, "m/a")).error?.code, "INVALID_REQUEST");
    const bare = join(world.userHome, "bare");
    put(join(bare, "notes.txt"), "no model");
    assert.deepEqual((await importFrom(world, bare)).skipped, [
      { path: bare, reason: "it has no file that is called *.gguf" },
    ]);
    // all files of a split model are linked into its worker's folder
    const body = { model_ref: "import:whole" };
    assert.equal((await world.call({ who: "hive" }, "POST /v1/workers/spawn", { body })).status, 200);
    await oneWorkerIs(world, "idle", 10_000);
    const third = await world.open({ who: "hive" }, "GET /v1/models/bytes?model_ref=import:whole&file=2");
    const bytes = new Uint8Array(await third.arrayBuffer());
    assert.deepEqual(bytes, Deno.readFileSync(join(folder, "whole-00003-of-00003.gguf")));
    const removed = await world.call({ who: "hive" }, "POST /v1/models/remove", {
      body: { model_ref: "import:same-2" },
    });
    assert.equal(removed.json.removed_bytes, tiny.length + 1 as unknown);
    assert.ok(Deno.statSync(join(folder, "b/same.gguf")).isFile, "the original stays");
  }, () => new World()));

Deno.test("imports and removals of one model at once are harmless", () =>
  inWorld(async (world) => {
    const own = put(join(world.userHome, "own.gguf"));
    await world.startHive();
    const remove = () => world.call({ who: "hive" }, "POST /v1/models/remove", { body: { model_ref: "import:own" } });
    for (let round = 0; round < 5; round++) {
      const done = await Promise.all([1, 2, 3, 4].flatMap(() => [importFrom(world, own), remove()]));
      for (const one of done) {
        if ("status" in one) assert.ok(one.status === 200 || one.json.error.code === "MODEL_NOT_FOUND" as unknown);
        else assert.deepEqual(refs(one), ["import:own"], JSON.stringify(one));
      }
    }
    await importFrom(world, own);
    const { json } = await world.call({ who: "hive" }, "GET /v1/models");
    const rows = json.models as unknown as { local_path: string }[];
    assert.equal(rows.length, 1);
    const names = [...Deno.readDirSync(dirname(rows[0].local_path))].map(({ name }) => name);
    assert.deepEqual(names.sort(), ["own.gguf", "own.gguf.rbee.json"]);
  }, () => new World()));

Deno.test("nothing is made or written behind a link in the models folder", () =>
  inWorld(async (world) => {
    const outside = join(world.userHome, "outside");
    Deno.mkdirSync(outside);
    Deno.mkdirSync(join(world.home, "models/import"), { recursive: true });
    Deno.symlinkSync(outside, join(world.home, "models/import/ollama"));
    const folder = join(world.userHome, ".ollama");
    put(join(folder, `models/blobs/sha256-${tinyHex}`));
    manifest(world, "registry.ollama.ai/library/story/1", layers(`sha256:${tinyHex}`));
    await world.startHive();
    assert.match(JSON.stringify(await importFrom(world, folder)), /it is a link, which may lead anywhere/);
    assert.deepEqual([...Deno.readDirSync(outside)], []);
  }, () => new World()));
