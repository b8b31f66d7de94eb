import assert from "node:assert/strict";
import { makeWorkerFolder, sweepWorkerFolders } from "./worker_folder.ts";

Deno.test("a worker's folder is its user's alone, links to the model and goes after it", async () => {
  const root = await Deno.makeTempDir();
  await Deno.writeTextFile(`${root}/--help.gguf`, "model");
  const folder = makeWorkerFolder(`${root}/workers`, {
    id: "worker-1",
    modelFiles: [{ name: "--help.gguf", path: `${root}/--help.gguf` }],
  });
  assert.equal((await Deno.stat(folder.path)).mode! & 0o777, 0o700);
  assert.equal(folder.path, await Deno.realPath(folder.path));
  assert.equal(folder.model, "./--help.gguf");
  assert.equal(await Deno.readTextFile(`${folder.path}/${folder.model}`), "model");
  folder.remove();
  folder.remove();
  assert.deepEqual([...Deno.readDirSync(`${root}/workers`)], []);
  assert.equal(await Deno.readTextFile(`${root}/--help.gguf`), "model", "the model itself stays");
  await Deno.remove(root, { recursive: true });
});

Deno.test("after a killed hive only folders without a living process are removed", async () => {
  const root = await Deno.makeTempDir();
  const make = (id: string) =>
    makeWorkerFolder(root, { id, modelFiles: [{ name: "model.gguf", path: "/nowhere/model.gguf" }] });
  const dead = new Deno.Command("/bin/true").spawn();
  await dead.status;
  const living = new Deno.Command("/bin/sh", { args: ["-c", "read _", "worker-living"], stdin: "piped" }).spawn();
  make("worker-living").claim(living.pid);
  make("worker-of-a-number-given-anew").claim(Deno.pid);
  make("worker-dead").claim(dead.pid);
  make("worker-unborn");
  assert.equal(sweepWorkerFolders(root), 3);
  assert.deepEqual([...Deno.readDirSync(root)].map((entry) => entry.name), ["worker-living"]);
  assert.equal(sweepWorkerFolders(`${root}/missing`), 0);
  await living.stdin.close();
  await living.status;
  await Deno.remove(root, { recursive: true });
});
