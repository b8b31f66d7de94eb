import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { HubWorld, modelOf } from "../support/hub_world.ts";
import { canMount } from "../support/mounts.ts";
import { Program } from "../support/program.ts";
import { executablePath } from "../support/world.ts";

const model = modelOf(20 * 1024 * 1024);
const ref = "hf:acme/story-GGUF:Q4_K_M";
const script = 'mkdir -p "$2" && mount -t tmpfs -o "size=$3" tmpfs "$2" && exec "$1" daemon';
const name = (what: string) =>
  `${what}${canMount() ? "" : " [not run: needs unshare -rm; where it works: deno task test tests/acceptance]"}`;

/** Runs a test with a hive whose models folder is a disk of its own, of that size. `disk` is where we see it. */
async function onDisk(size: string, test: (at: HubWorld, disk: string) => Promise<void>): Promise<void> {
  await using at = new HubWorld();
  await at.hub.add("acme/story-GGUF", { "story-Q4_K_M.gguf": model });
  const hive = new Program({
    exe: "/usr/bin/unshare",
    args: ["-rm", "/bin/sh", "-c", script, "sh", executablePath("rbee-hive"), at.models, size],
    cwd: at.world.userHome,
    env: at.world.environment(),
  });
  at.world.programs.push(hive);
  try {
    await eventually(async () => (await at.call("GET /v1/health")).status === 200, {
      ...{ withinMs: 5_000, what: "the hive answers", seen: () => hive.account() },
    });
    await test(at, `/proc/${at.world.hivePid()}/root${at.models}`);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.stack : error}\n${at.world.report()}`, { cause: error });
  }
}

Deno.test({
  name: name("a model that does not fit on the disk is refused before a byte of it comes"),
  ignore: !canMount(),
  fn: () =>
    onDisk("64m", async (at, disk) => {
      const { last } = await at.pull(ref);
      assert.equal(last.error?.code, "INSUFFICIENT_DISK");
      assert.match(last.message ?? "", /need \d+ MB on the disk of .*, have \d+ MB/);
      assert.match(last.error?.hint ?? "", /rbee models rm/);
      assert.equal(at.hub.bytesSent(), 0);
      assert.deepEqual([...Deno.readDirSync(disk)], [], "nor is a folder of it made");
    }),
});

Deno.test({
  name: name("a disk that fills up meanwhile ends the download with one clear error; with room again it goes on"),
  ignore: !canMount(),
  fn: () =>
    onDisk("300m", async (at, disk) => {
      at.hub.faults.add({ on: "bytes", bytesPerSecond: 10 * 1024 * 1024 });
      const { json } = await at.ask(ref);
      const follower = at.follow(String(json.download_id));
      await eventually(() => at.hub.bytesSent() > 3_000_000, { withinMs: 3_000, what: "it is under way" });
      fill(join(disk, "filler"));
      const { last } = await follower;
      assert.equal(last.error?.code, "DISK_FULL", last.message);
      assert.deepEqual((await at.call("GET /v1/models")).json.models, []);
      Deno.removeSync(join(disk, "filler"));
      at.hub.faults.clear();
      const before = at.hub.bytesSent();
      const again = await at.pull(ref);
      assert.equal(again.last.stage, "complete", again.last.message);
      assert.ok(at.hub.bytesSent() - before < model.length - 1_000_000, "it went on from what was here");
      assert.deepEqual(Deno.readFileSync(join(disk, "hf/acme/story-GGUF/main/story-Q4_K_M.gguf")), model);
    }),
});

function fill(path: string): void {
  using file = Deno.openSync(path, { write: true, create: true });
  const piece = new Uint8Array(64 * 1024);
  try {
    for (;;) file.writeSync(piece);
  } catch {
    // it is full
  }
}
