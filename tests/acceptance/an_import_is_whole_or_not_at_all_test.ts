import assert from "node:assert/strict";
import { tinyGguf } from "../../native/tiny.ts";
import { parseText } from "../../protocol/sse.ts";
import { exists } from "../../runtime/files.ts";
import { join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { inWorld, modelsFolder } from "../support/flows.ts";
import { canMount } from "../support/mounts.ts";
import { Program } from "../support/program.ts";
import { slowGguf } from "../support/slow_gguf.ts";
import { executablePath, type Wire, World } from "../support/world.ts";

const needsMounts = canMount() ? "" : " [not run: needs unshare -rm; where it works: deno task test tests/acceptance]";

/** The models folder is a disk of its own. */
const modelsDisk = 'mkdir -p "$2/models" && mount -t tmpfs -o "size=$3m" models "$2/models" && exec "$1" daemon';
/** A model lies on a disk of its own: its import is a copy, which can be caught. */
const sourceDisk = 'mkdir -p "$4" && mount -t tmpfs other "$4" && cp "$3" "$4/own.gguf" && exec "$1" daemon';

/** A hive that sees other disks than we do; the script's `$1` is its program, `$2` its home. */
async function hiveWith(world: World, script: string, ...more: string[]): Promise<Program> {
  const hive = new Program({
    exe: "/usr/bin/unshare",
    args: ["-rm", "/bin/sh", "-c", script, "sh", executablePath("rbee-hive"), world.home, ...more],
    cwd: world.userHome,
    env: world.environment(),
  });
  world.programs.push(hive);
  await eventually(
    () => fetch(`${world.hiveUrl()}/v1/health`).then((answer) => answer.body?.cancel()).then(() => true),
    {
      withinMs: 10_000,
      what: "the hive answers",
      seen: () => hive.account(),
    },
  );
  return hive;
}

async function importFrom(world: World, path: string): Promise<{ last: Wire; progress: Wire[] }> {
  const answer = await world.call({ who: "hive" }, "POST /v1/models/import", { body: { path } });
  const events = parseText(answer.text);
  const progress = events.filter(({ event }) => event === "progress").map(({ data }) => JSON.parse(data) as Wire);
  return { last: JSON.parse(events.at(-2)!.data), progress };
}

async function sha256(path: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path)));
  return `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The models folder of that hive as it sees it. */
const filesIn = (world: World): string[] => {
  const folder = `/proc/${world.hivePid()}/root${world.home}/models`;
  const names = (at: string): string[] =>
    [...Deno.readDirSync(at)].flatMap(({ name, isDirectory }) => isDirectory ? names(`${at}/${name}`) : [name]);
  return names(folder);
};

Deno.test({
  name:
    `a file on another disk is copied with its digest; a disk without room is told before a byte is written${needsMounts}`,
  ignore: !canMount(),
  fn: () =>
    inWorld(async (world) => {
      const tiny = join(world.userHome, "tiny.gguf");
      await Deno.writeFile(tiny, await Deno.readFile(tinyGguf()));
      await hiveWith(world, modelsDisk, "300");
      const taken = await importFrom(world, tiny);
      const [model] = taken.last.models as unknown as Record<string, unknown>[];
      assert.equal(model.digest, await sha256(tiny), "hashed on its way");
      assert.equal(taken.progress.at(-1)?.stage, "copying" as unknown);
      assert.equal(taken.progress.at(-1)?.bytes_done, model.size_bytes);
      const again = await importFrom(world, tiny);
      assert.deepEqual(again.progress, [], "what was copied is not copied again");
      // 256 MB are kept free
      const large = await slowGguf({ folder: modelsFolder(), layers: 32, width: 512 });
      const refused = await importFrom(world, large);
      assert.equal(refused.last.error.code, "INSUFFICIENT_DISK" as unknown);
      assert.match(String(refused.last.error.message), /needs \d+ MB, has \d+ MB/);
      assert.deepEqual(filesIn(world).sort(), ["tiny.gguf", "tiny.gguf.rbee.json"]);
    }, () => new World()),
});

Deno.test({
  name: `a blob whose bytes are not what its name tells is refused when it is copied${needsMounts}`,
  ignore: !canMount(),
  fn: () =>
    inWorld(async (world) => {
      const folder = join(world.userHome, ".ollama/models");
      const digest = "3".repeat(64);
      const manifests = join(folder, "manifests/registry.ollama.ai/library/liar");
      for (const path of [manifests, join(folder, "blobs")]) await Deno.mkdir(path, { recursive: true });
      await Deno.writeFile(join(folder, `blobs/sha256-${digest}`), await Deno.readFile(tinyGguf()));
      const mediaType = "application/vnd.ollama.image.model";
      await Deno.writeTextFile(
        join(manifests, "1"),
        JSON.stringify({ layers: [{ mediaType, digest: `sha256:${digest}` }] }),
      );
      await hiveWith(world, modelsDisk, "300");
      assert.equal((await importFrom(world, folder)).last.error.code, "CHECKSUM_MISMATCH" as unknown);
      assert.deepEqual(filesIn(world), []);
    }, () => new World()),
});

Deno.test({
  name:
    `a hive that is killed while it imports leaves no half model, and the next one clears up and goes on${needsMounts}`,
  ignore: !canMount(),
  fn: () => inWorld(killedImports, () => new World()),
});

async function killedImports(world: World): Promise<void> {
  const model = await slowGguf({ folder: modelsFolder(), layers: 32, width: 512 });
  const disk = join(world.userHome, "other");
  const source = join(disk, "own.gguf");
  const digest = await sha256(model);
  const sourceBytes = Deno.statSync(model).size;
  const start = () => hiveWith(world, sourceDisk, model, disk);
  const folder = join(world.home, "models/import");
  const names = () => exists(folder) ? [...Deno.readDirSync(folder)].map(({ name }) => name) : [];
  let cut = 0;
  for (const part of [0, 0.2, 0.5, 0.8]) {
    const hive = await start();
    const body = { path: source };
    world.open({ who: "hive" }, "POST /v1/models/import", { body }).then((one) => one.text()).catch(() => {}); // it is cut
    await eventually(() => {
      const [name] = names().filter((name) => !name.endsWith(".rbee.json"));
      return name !== undefined && Deno.statSync(join(folder, name)).size >= part * sourceBytes;
    }, { withinMs: 10_000, what: `${part} of the file are here`, everyMs: 1 });
    hive.signal("SIGKILL");
    await hive.ends(5_000);
    if (names().some((name) => name.endsWith(".importing"))) cut++;
    const next = await start();
    const { json } = await world.call({ who: "hive" }, "GET /v1/models");
    const rows = json.models as unknown as Record<string, unknown>[];
    for (const row of rows) assert.equal(await sha256(row.local_path as string), digest);
    assert.equal(names().filter((name) => name.endsWith(".gguf")).length, rows.length);
    assert.deepEqual(names().filter((name) => name.endsWith(".importing")), []);
    if (rows.length > 0) {
      await world.call({ who: "hive" }, "POST /v1/models/remove", { body: { model_ref: rows[0].id } });
    }
    next.signal("SIGTERM");
    await next.ends(10_000);
  }
  assert.ok(cut > 0, "one of them was caught in the middle");
  await start();
  const { last } = await importFrom(world, source);
  assert.equal((last.models as unknown as unknown[]).length, 1);
}
