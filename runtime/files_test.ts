import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { openDatabase } from "./database.ts";
import { LogFile } from "./log_file.ts";
import { redact } from "./log.ts";
import { VERSION } from "./version.ts";
import { publishRunning, readRunning } from "./running.ts";

async function inFolder(run: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    await run(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("a log file is rotated by size and never holds more than its share", async () => {
  await inFolder((folder) => {
    using log = new LogFile(`${folder}/a.log`, { bytesMax: 100, filesMax: 3 });
    for (let n = 0; n < 50; n++) log.write(new TextEncoder().encode(`line ${n}`.padEnd(29) + "\n"));
    const names = [...Deno.readDirSync(folder)].map((e) => e.name).sort();
    assert.deepEqual(names, ["a.log", "a.log.1", "a.log.2"]);
    assert.match(Deno.readTextFileSync(`${folder}/a.log`), /line 49/);
    assert.equal(log.dropped, 0);
  });
});

Deno.test("a log that cannot be written is counted, and goes on when it can be again", async () => {
  await inFolder((folder) => {
    using log = new LogFile(`${folder}/missing/a.log`);
    log.write(new TextEncoder().encode("lost\n"));
    assert.equal(log.dropped, 1);
    Deno.mkdirSync(`${folder}/missing`);
    log.write(new TextEncoder().encode("kept\n"));
    assert.equal(Deno.readTextFileSync(`${folder}/missing/a.log`), "kept\n");
  });
});

Deno.test("keys, bearer tokens and URL passwords do not get into a log line", () => {
  const key = "a1".repeat(32);
  const text = redact(`Authorization: Bearer abcdefgh12345 key ${key} at https://me:secret@host/x`);
  assert.ok(!/abcdefgh12345|a1a1|secret/.test(text), text);
});

Deno.test("a database is migrated in order, is for its owner alone, and opens once at a time", async () => {
  await inFolder(async (folder) => {
    const options = {
      path: `${folder}/x.db`,
      synchronous: "full" as const,
      owner: "another test",
      migrations: ["create table a (x)"],
    };
    {
      using first = await openDatabase(options);
      first.db.exec("insert into a values (1)");
      assert.equal(Deno.statSync(options.path).mode! & 0o777, 0o600);
      await assert.rejects(openDatabase(options), (e) => e instanceof RbeeError && e.code === "CATALOG_UNAVAILABLE");
    }
    using second = await openDatabase({
      ...options,
      migrations: [...options.migrations, "alter table a add column y"],
    });
    assert.deepEqual({ ...second.db.prepare("select * from a").get() }, { x: 1, y: null });
    second[Symbol.dispose]();
    await assert.rejects(openDatabase(options), (e) => e instanceof RbeeError && e.code === "DATABASE_NEWER");
  });
});

Deno.test("a damaged database is moved aside under a name that is told, never overwritten", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/x.db`;
    Deno.writeTextFileSync(path, "this is no database, but somebody's file".repeat(100));
    using opened = await openDatabase({ path, synchronous: "normal", owner: "x", migrations: ["create table a (x)"] });
    assert.ok(opened.movedAside);
    assert.match(Deno.readTextFileSync(opened.movedAside), /somebody's file/);
  });
});

Deno.test("a damaged database of a killed program is moved aside with its journal, both byte by byte", async () => {
  await inFolder(async (folder) => {
    const options = { synchronous: "full" as const, owner: "x", migrations: ["create table a (x)"] };
    const path = `${folder}/killed.db`;
    {
      using first = await openDatabase({ ...options, path: `${folder}/x.db` });
      first.db.exec("insert into a values (1); pragma wal_checkpoint(truncate); insert into a values (2)");
      for (const end of ["", "-wal"]) Deno.copyFileSync(`${folder}/x.db${end}`, path + end);
    }
    Deno.truncateSync(path, 4_096); // the schema names a page that is not there
    const before = ["", "-wal"].map((end) => Deno.readFileSync(path + end));
    assert.ok(before[1].length > 0, "there is a journal");
    using opened = await openDatabase({ ...options, path });
    assert.ok(opened.movedAside);
    assert.deepEqual(["", "-wal"].map((end) => Deno.readFileSync(opened.movedAside + end)), before);
    assert.equal(opened.db.prepare("select count(*) as n from a").get()?.n, 0);
  });
});

Deno.test("a database of a newer rbee is refused with the version that is needed, and stays as it is", async () => {
  await inFolder(async (folder) => {
    const options = { path: `${folder}/x.db`, synchronous: "full" as const, owner: "x" };
    const refusal = async () => {
      const before = Deno.readFileSync(options.path);
      const error = await openDatabase({ ...options, migrations: ["create table a (x)"] }).catch((thrown) => thrown);
      assert.ok(error instanceof RbeeError && error.code === "DATABASE_NEWER", String(error));
      assert.deepEqual(Deno.readFileSync(options.path), before);
      return `${error.message} ${error.hint}`;
    };
    {
      using ours = await openDatabase({ ...options, migrations: ["create table a (x)", "create table b (x)"] });
      assert.deepEqual(ours.db.prepare("select * from schema_history").all().map((row) => ({ ...row })), [
        { schema: 1, rbee_version: VERSION },
        { schema: 2, rbee_version: VERSION },
      ]);
      ours.db.exec("insert into schema_history values (7, '0.9.0'); pragma user_version = 7");
    }
    assert.match(await refusal(), /it needs rbee 0\.9\.0 or newer, this is .*Install rbee 0\.9\.0 or newer/);
    {
      using ours = await openDatabase({ ...options, migrations: Array(7).fill("select 1") });
      ours.db.exec("drop table schema_history");
    }
    assert.match(await refusal(), /it needs rbee newer than /);
  });
});

Deno.test("a daemon's file is found while it stands and removed only by its own daemon", async () => {
  await inFolder((folder) => {
    const path = `${folder}/queen.json`;
    const running = { pid: Deno.pid, url: "http://127.0.0.1:1", version: "0.1.0", started_unix: 1 };
    const published = publishRunning(path, running);
    assert.deepEqual(readRunning(path), running);
    publishRunning(path, { ...running, pid: Deno.pid + 1 });
    published[Symbol.dispose]();
    assert.equal(readRunning(path)?.pid, Deno.pid + 1);
    Deno.writeTextFileSync(path, '{"pid": 1');
    assert.equal(readRunning(path), undefined);
  });
});
