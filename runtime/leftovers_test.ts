import assert from "node:assert/strict";
import { removeLeftovers, workerPidFile } from "./leftovers.ts";
import { paths } from "./paths.ts";
import { publishRunning } from "./running.ts";

Deno.test("what names a dead process goes, what names a living one stays and is counted", async () => {
  const home = await Deno.makeTempDir();
  const p = paths((name) => ({ HOME: home, RBEE_HOME: home } as Record<string, string>)[name]);
  const dead = new Deno.Command("/bin/true").spawn();
  await dead.status;
  const running = { url: "http://127.0.0.1:1", version: "0.1.0", started_unix: 1 };
  publishRunning(p.queenFile, { ...running, pid: dead.pid });
  publishRunning(p.hiveFile, { ...running, pid: Deno.pid });
  for (const [id, pid] of [["worker-dead", dead.pid], ["worker-living", Deno.pid], ["worker-unborn", 0]] as const) {
    await Deno.mkdir(`${p.workers}/${id}`, { recursive: true });
    if (pid) await Deno.writeTextFile(`${p.workers}/${id}/${workerPidFile}`, `${pid}\n`);
  }
  await Deno.mkdir(`${p.sshSockets}/01234567`, { recursive: true });
  assert.equal(removeLeftovers(p), 2);
  assert.deepEqual([...Deno.readDirSync(home)].map((e) => e.name).sort(), ["hive.json", "workers"]);
  assert.deepEqual([...Deno.readDirSync(p.workers)].map((e) => e.name).sort(), ["worker-living", "worker-unborn"]);
  await Deno.remove(home, { recursive: true });
});
