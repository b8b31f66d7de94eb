import assert from "node:assert/strict";
import { TINY_BYTES, TINY_SHA256, tinyGguf } from "../native/tiny.ts";
import type { RbeeError } from "../protocol/error.ts";
import { dirname } from "../runtime/path.ts";
import { openCatalog } from "./catalog.ts";
import { Models } from "./models.ts";
import { enterWhatLies } from "./rebuild.ts";
import { discardDamaged, removeModel } from "./remove_model.ts";

async function withModels(run: (models: Models, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    using catalog = await openCatalog(`${folder}/models.db`);
    await run(
      new Models({ catalog, folder: `${folder}/models`, aliases: { mine: `file:${folder}/mine.gguf` } }),
      folder,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const quiet = { info() {}, warn() {} };
const codeOf = (code: string) => (error: unknown) => (error as RbeeError).code === code;

Deno.test("the built-in model is unpacked once, and made again when it was damaged", () =>
  withModels(async (models) => {
    const first = await models.find(models.parse("tiny"));
    assert.equal(first.ref, "builtin:tiny");
    const { ino } = await Deno.stat(first.path);
    await models.find(models.parse("builtin:tiny"));
    assert.equal((await Deno.stat(first.path)).ino, ino, "an undamaged file stays");
    const bytes = await Deno.readFile(first.path);
    bytes[1_000_000] ^= 1;
    await Deno.writeFile(first.path, bytes);
    const again = await models.find(models.parse("builtin:tiny"));
    assert.deepEqual(await Deno.readFile(again.path), await Deno.readFile(tinyGguf()));
    const [row] = await models.list();
    assert.deepEqual([row.id, row.provider, row.reference, row.size_bytes], [
      "tiny",
      "builtin",
      "tiny",
      first.sizeBytes,
    ]);
  }));

Deno.test("in a folder that only root may write the built-in model goes into this person's own", async () => {
  const ownFolder = await Deno.makeTempDir();
  try {
    using catalog = await openCatalog(`${ownFolder}/models.db`);
    // Nobody may make a folder there, not even root.
    const models = new Models({ catalog, folder: "/sys/rbee-models", ownFolder, aliases: {} });
    const { path } = await models.find(models.parse("builtin:tiny"));
    assert.equal(path, await Deno.realPath(`${ownFolder}/builtin/tiny.gguf`));
    const alone = new Models({ catalog, folder: "/sys/rbee-models", aliases: {} });
    await assert.rejects(alone.find(alone.parse("builtin:tiny")), codeOf("HOME_NOT_WRITABLE"));
  } finally {
    await Deno.remove(ownFolder, { recursive: true });
  }
});

Deno.test("a file model is catalogued, its row follows the file, and goes with it", () =>
  withModels(async (models, folder) => {
    const path = `${folder}/mine.gguf`;
    const tiny = await Deno.readFile(tinyGguf());
    await Deno.writeFile(path, tiny);
    const first = await models.find(models.parse("mine"));
    assert.equal(first.ref, `file:${path}`);
    assert.equal((await models.list())[0].size_bytes, tiny.length);
    await Deno.writeFile(path, new Uint8Array([...tiny, 0]));
    const second = await models.find(models.parse(`file:${path}`));
    assert.notEqual(second.fingerprint, first.fingerprint);
    assert.equal((await models.list()).length, 1);
    assert.equal((await models.list())[0].size_bytes, tiny.length + 1);
    await Deno.remove(path);
    await assert.rejects(models.find(models.parse("mine")), codeOf("MODEL_NOT_FOUND"));
    assert.deepEqual(await models.list(), []);
  }));

Deno.test("two files of one name in two folders are two models", () =>
  withModels(async (models, folder) => {
    const tiny = await Deno.readFile(tinyGguf());
    for (const name of ["a", "b"]) {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeFile(`${folder}/${name}/same.gguf`, tiny);
      await models.find(models.parse(`file:${folder}/${name}/same.gguf`));
    }
    const ids = (await models.list()).map((one) => one.id);
    assert.equal(new Set(ids).size, 2);
    assert.ok(ids.includes("same"));
  }));

Deno.test("a folder, a text file and a reference that would have to be downloaded are refused clearly", () =>
  withModels(async (models, folder) => {
    await Deno.writeTextFile(`${folder}/text.gguf`, "this is no model, whatever it is called by");
    await assert.rejects(models.find(models.parse(`file:${folder}`)), codeOf("MODEL_NOT_FOUND"));
    await assert.rejects(models.find(models.parse(`file:${folder}/text.gguf`)), codeOf("MODEL_LOAD_FAILED"));
    await assert.rejects(
      models.find(models.parse("hf:org/repo:Q4_K_M")),
      /rbee models pull hf:org\/repo:Q4_K_M|not on this machine/,
    );
    await assert.rejects(models.find(models.parse("https://example.com/a.gguf")), codeOf("MODEL_NOT_FOUND"));
  }));

Deno.test("the catalog outlives its hive, and a second hive of the same home is told who has it", () =>
  withModels(async (models, folder) => {
    await models.find(models.parse("tiny"));
    await assert.rejects(openCatalog(`${folder}/models.db`), (error: RbeeError) => {
      assert.equal(error.code, "CATALOG_UNAVAILABLE");
      return /another hive/.test(error.message);
    });
  }));

Deno.test("a model that arrived can be made again from its folder, and one that is damaged makes room for itself", () =>
  withModels(async (models, folder) => {
    const path = `${folder}/models/hf/org/repo/main/tiny.Q8_0.gguf`;
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.copyFile(tinyGguf(), path);
    const entry = { provider: "hf", reference: "org/repo", variant: "Q8_0@v2", local_path: path, size_bytes: 1 };
    const digest = `sha256:${TINY_SHA256}`;
    const arrived = await models.arrived({ ...entry, downloaded_at_unix: 1_700_000_000 }, [{ path, digest }]);
    assert.deepEqual([arrived.size_bytes, arrived.digest, arrived.architecture], [TINY_BYTES, digest, "llama"]);
    const ref = models.parse("hf:org/repo:q8_0@v2");
    const { shape, ...facts } = await models.factsOf(ref);
    assert.deepEqual(facts, {
      ref: "hf:org/repo:Q8_0@v2",
      size_bytes: TINY_BYTES,
      digest,
      quantization: arrived.quantization,
    });
    assert.equal(shape?.layers, 5);
    // the row is lost
    models.catalog.remove(arrived.id);
    await assert.rejects(models.find(ref), codeOf("MODEL_NOT_FOUND"));
    assert.equal(await enterWhatLies(models, quiet), 1);
    assert.deepEqual(models.catalog.byId(arrived.id)?.digest, digest);
    assert.equal(models.catalog.byId(arrived.id)?.downloaded_at_unix, 1_700_000_000);
    assert.equal(await enterWhatLies(models, quiet), 0);
    // it is damaged
    await discardDamaged(models, ref);
    assert.equal((await models.find(ref)).path, await Deno.realPath(path), "a whole one stays");
    models.catalog.put({ ...models.catalog.byId(arrived.id)!, damaged: true });
    assert.deepEqual(models.picture(), []);
    await assert.rejects(models.find(ref), codeOf("MODEL_LOAD_FAILED"));
    await discardDamaged(models, ref);
    await assert.rejects(models.find(ref), codeOf("MODEL_NOT_FOUND"));
    assert.deepEqual([...Deno.readDirSync(`${folder}/models/hf`)], []);
  }));

Deno.test("a download under way keeps its parts from being removed", () =>
  withModels(async (models, folder) => {
    const part = `${folder}/models/hf/org/repo/main/a.Q4_0.gguf.part`;
    await Deno.mkdir(dirname(part), { recursive: true });
    const file = await Deno.open(part, { write: true, createNew: true });
    await file.lock(true);
    const remove = () => removeModel(models, "hf:org/repo:Q4_0", { workers: () => [] });
    await assert.rejects(remove(), codeOf("MODEL_IN_USE"));
    file.close();
    assert.deepEqual(await remove(), { model_ref: "hf:org/repo:Q4_0", removed_bytes: 0, kept: [] });
    await assert.rejects(remove(), codeOf("MODEL_NOT_FOUND"));
  }));
