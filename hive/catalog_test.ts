import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openDatabase } from "../runtime/database.ts";
import { Catalog, openCatalog } from "./catalog.ts";
import { catalogMigrations } from "./migrations.ts";

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** S18's row. */
const s18 = {
  provider: "hf",
  reference: "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF",
  local_path: "/models/tinyllama-q4.gguf",
  size_bytes: 5_242_880,
  downloaded_at_unix: 1_728_508_603,
};

Deno.test("a registered model has S18's columns, and a later lookup finds it", () =>
  inFolder(async (folder) => {
    {
      using catalog = await openCatalog(`${folder}/models.db`);
      catalog.put(s18);
    }
    const db = new DatabaseSync(`${folder}/models.db`, { readOnly: true });
    const columns = "id, provider, reference, local_path, size_bytes, downloaded_at_unix";
    assert.deepEqual({ ...db.prepare(`select ${columns} from models`).get() }, { id: "tinyllama-q4", ...s18 });
    db.close();
    using again = await openCatalog(`${folder}/models.db`);
    assert.equal(again.find(s18)?.local_path, s18.local_path);
  }));

Deno.test("a catalog of the first schema keeps its rows", () =>
  inFolder(async (folder) => {
    const path = `${folder}/models.db`;
    {
      const first = catalogMigrations.slice(0, 1);
      using old = await openDatabase({ path, migrations: first, synchronous: "normal", owner: "a test" });
      old.db.exec(
        `insert into models values ('tinyllama-q4', 'hf', '${s18.reference}', '${s18.local_path}', 5242880, 1728508603),
        ('tiny', 'builtin', 'tiny', '/m/builtin/tiny.gguf', 3, 1728508604)`,
      );
    }
    using catalog = await openCatalog(path);
    const [tiny, llama] = catalog.list();
    assert.deepEqual([tiny.id, tiny.owned, tiny.files], ["tiny", true, []]);
    assert.deepEqual([llama.id, llama.variant, llama.owned, llama.digest, llama.use_count], [
      "tinyllama-q4",
      "",
      false,
      null,
      0,
    ]);
    catalog.put({ ...s18, variant: "Q8_0", local_path: "/models/other.gguf" });
    assert.equal(catalog.variants("hf", s18.reference).length, 2, "one row for each variant");
  }));

Deno.test("ids stay what they were, are file stems, and are made unique", () =>
  inFolder(async (folder) => {
    using catalog = await openCatalog(`${folder}/models.db`);
    let changes = 0;
    catalog.onChange = () => changes++;
    const first = catalog.put({ ...s18, variant: "a" });
    const second = catalog.put({ ...s18, variant: "b", local_path: "/else/tinyllama-q4.gguf" });
    assert.equal(first.id, "tinyllama-q4");
    assert.match(second.id, /^tinyllama-q4-[0-9a-f]{8}$/);
    catalog.used(second.id, 1_728_600_000);
    const again = catalog.put({ ...s18, variant: "b", local_path: "/third/x.gguf" });
    assert.deepEqual([again.id, again.use_count, again.last_used_unix], [second.id, 1, 1_728_600_000]);
    catalog.remove(first.id);
    catalog.remove(first.id);
    assert.equal(changes, 4, "a use changes no picture, nor does what is gone already");
    assert.equal(catalog.byId(first.id), undefined);
  }));

Deno.test("what an rbee with another idea of a model's shape wrote is no obstacle", () =>
  inFolder(async (folder) => {
    const database = await openDatabase({
      path: `${folder}/models.db`,
      migrations: catalogMigrations,
      synchronous: "normal",
      owner: "a test",
    });
    using catalog = new Catalog(database);
    const { id } = catalog.put(s18);
    database.db.prepare("update models set shape = ? where id = ?").run('{"layers": "many"}', id);
    assert.equal(catalog.byId(id)?.shape, null);
  }));
