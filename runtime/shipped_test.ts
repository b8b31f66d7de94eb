import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { builtManifest, installedManifest, type Manifest, parseManifest, readManifest } from "./shipped.ts";

const file = { sha256: "ab".repeat(32), size: 3, backend: "cpu" };
const manifest: Manifest = { version: "0.1.0", platform: "linux-x64", backend: "cpu", files: { "queen-rbee": file } };

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a manifest is read under both of its names", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/${installedManifest}`, JSON.stringify(manifest));
    assert.deepEqual(await readManifest(folder), { folder, manifest });
    await Deno.remove(`${folder}/${installedManifest}`);
    await Deno.writeTextFile(`${folder}/${builtManifest}`, JSON.stringify(manifest));
    assert.deepEqual(await readManifest(folder), { folder, manifest });
  }));

Deno.test("in a bin folder a manifest.json of somebody else, or of a copy made by hand, does not hide ours", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/${installedManifest}`, JSON.stringify(manifest));
    for (const other of ['{"name": "an app of the web"}', JSON.stringify({ ...manifest, version: "0.0.1" })]) {
      await Deno.writeTextFile(`${folder}/${builtManifest}`, other);
      assert.deepEqual((await readManifest(folder)).manifest, manifest);
    }
  }));

Deno.test("a folder without a manifest and one with a broken one name the line that makes executables", () =>
  inFolder(async (folder) => {
    for (const text of [undefined, "{"]) {
      if (text) await Deno.writeTextFile(`${folder}/${installedManifest}`, text);
      await assert.rejects(readManifest(folder), (error) => {
        assert.ok(error instanceof RbeeError && error.code === "EXECUTABLES_NOT_FOUND");
        assert.ok(error.message.includes(folder) && error.hint.includes("deno task compile"));
        return true;
      });
    }
  }));

Deno.test("a name that is a path, a digest that is none and a negative size are no manifest", () => {
  const withFile = (name: string, change: object) =>
    JSON.stringify({ ...manifest, files: { [name]: { ...file, ...change } } });
  assert.ok(parseManifest(withFile("llm-worker-rbee-vulkan", {})));
  for (const name of ["../queen-rbee", "/bin/sh", "rbee", "llm-worker-rbee-../x", ""]) {
    assert.equal(parseManifest(withFile(name, {})), undefined, name);
  }
  assert.equal(parseManifest(withFile("queen-rbee", { sha256: "xyz" })), undefined);
  assert.equal(parseManifest(withFile("queen-rbee", { size: -1 })), undefined);
});
