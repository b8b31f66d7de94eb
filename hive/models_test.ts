import assert from "node:assert/strict";
import { tinyGguf } from "../native/tiny.ts";
import type { RbeeError } from "../protocol/error.ts";
import { openCatalog } from "./catalog.ts";
import { Models } from "./models.ts";

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
    const [row] = models.list();
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
    assert.equal(models.list()[0].size_bytes, tiny.length);
    await Deno.writeFile(path, new Uint8Array(1), { append: true });
    const second = await models.find(models.parse(`file:${path}`));
    assert.notEqual(second.fingerprint, first.fingerprint);
    assert.equal(models.list().length, 1);
    assert.equal(models.list()[0].size_bytes, tiny.length + 1);
    await Deno.remove(path);
    await assert.rejects(models.find(models.parse("mine")), codeOf("MODEL_NOT_FOUND"));
    assert.deepEqual(models.list(), []);
  }));

Deno.test("two files of one name in two folders are two models", () =>
  withModels(async (models, folder) => {
    const tiny = await Deno.readFile(tinyGguf());
    for (const name of ["a", "b"]) {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeFile(`${folder}/${name}/same.gguf`, tiny);
      await models.find(models.parse(`file:${folder}/${name}/same.gguf`));
    }
    const ids = models.list().map((one) => one.id);
    assert.equal(new Set(ids).size, 2);
    assert.ok(ids.includes("same"));
  }));

Deno.test("a folder, a text file and a reference that would have to be downloaded are refused clearly", () =>
  withModels(async (models, folder) => {
    await Deno.writeTextFile(`${folder}/text.gguf`, "this is no model, whatever it is called by");
    await assert.rejects(models.find(models.parse(`file:${folder}`)), codeOf("MODEL_NOT_FOUND"));
    await assert.rejects(models.find(models.parse(`file:${folder}/text.gguf`)), codeOf("MODEL_LOAD_FAILED"));
    await assert.rejects(models.find(models.parse("hf:org/repo:Q4_K_M")), /downloads no models/);
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
