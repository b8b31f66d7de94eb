import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { digestFile } from "../runtime/digest.ts";
import {
  builtManifest,
  installedManifest,
  type Manifest,
  type ManifestFile,
  readManifest,
} from "../runtime/shipped.ts";
import { type PlaceOptions, placePrograms, warmWorkers } from "./install_programs.ts";

const four = ["rbee-keeper", "queen-rbee", "rbee-hive", "llm-worker-rbee"];

/** A build's folder: scripts in the place of executables. */
async function makeBuild(
  folder: string,
  version: string,
  names = four,
): Promise<{ folder: string; manifest: Manifest }> {
  await Deno.mkdir(folder);
  const files: Record<string, ManifestFile> = {};
  for (const name of names) {
    // A worker unpacks itself beside itself, under a name that no other version has.
    const unpack = name.startsWith("llm-worker") ? `mkdir -p "$(dirname "$0")/.${name}/${version}"` : "";
    await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\n# ${version}\n${unpack}\n`, { mode: 0o755 });
    files[name] = { ...await digestFile(`${folder}/${name}`), backend: "cpu" };
  }
  const manifest: Manifest = { version, platform: "linux-x64", backend: "cpu", files };
  await Deno.writeTextFile(`${folder}/${builtManifest}`, JSON.stringify(manifest));
  return { folder, manifest };
}

interface Ground {
  readonly root: string;
  readonly bin: string;
  readonly options: PlaceOptions;
}

async function withBin(test: (ground: Ground) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  const bin = `${root}/bin`;
  await Deno.mkdir(bin);
  const options = { bin, force: false, signal: new AbortController().signal, onCopy: () => {} };
  try {
    await test({ root, bin, options });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const versionOf = async (path: string) => (await Deno.readTextFile(path)).match(/^# (.*)$/m)?.[1];
const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const codeOf = (code: string) => (error: unknown) => error instanceof RbeeError && error.code === code;

/** Every program is of that version, and nothing else lies there. */
async function isWhole(bin: string, version: string): Promise<void> {
  assert.equal((await readManifest(bin)).manifest.version, version);
  for (const name of [...four, "rbee"]) assert.equal(await versionOf(`${bin}/${name}`), version, name);
  assert.deepEqual(
    namesIn(bin).filter((name) => !name.startsWith(".llm")),
    [...four, installedManifest, "rbee"].sort(),
  );
}

Deno.test("an upgrade replaces every program and removes a variant that the new build does not have", () =>
  withBin(async ({ root, bin, options }) => {
    const variant = "llm-worker-rbee-vulkan";
    const first = await placePrograms(await makeBuild(`${root}/1`, "1.0.0", [...four, variant]), options);
    assert.deepEqual(new Set(first.map(({ state }) => state)), new Set(["new"]));
    await warmWorkers(first, options);
    assert.deepEqual(namesIn(`${bin}/.${variant}`), ["1.0.0"]);
    const second = await placePrograms(await makeBuild(`${root}/2`, "2.0.0"), options);
    await warmWorkers(second, options);
    assert.deepEqual(second.filter(({ state }) => state === "removed"), [{ name: variant, state: "removed" }]);
    assert.equal(second.find(({ name }) => name === "rbee")?.state, "kept");
    await isWhole(bin, "2.0.0");
    assert.deepEqual(namesIn(`${bin}/.llm-worker-rbee`), ["2.0.0"], "what older versions unpacked is gone");
    assert.equal(namesIn(bin).includes(`.${variant}`), false);
    const third = await placePrograms(await readManifest(`${root}/2`), options);
    assert.deepEqual(new Set(third.map(({ state }) => state)), new Set(["kept"]));
  }));

Deno.test("a source that is cut, changed or missing replaces nothing", () =>
  withBin(async ({ root, bin, options }) => {
    await placePrograms(await makeBuild(`${root}/1`, "1.0.0"), options);
    const spoil: Record<string, (path: string) => Promise<void>> = {
      CHECKSUM_MISMATCH: (path) => Deno.truncate(path, 5),
      EXECUTABLES_NOT_FOUND: (path) => Deno.remove(path),
    };
    for (const [code, act] of Object.entries(spoil)) {
      const build = await makeBuild(`${root}/${code}`, "2.0.0");
      await act(`${build.folder}/llm-worker-rbee`); // the last one: those before it were copied already
      await assert.rejects(placePrograms(build, options), codeOf(code));
      await isWhole(bin, "1.0.0");
    }
    const same = await makeBuild(`${root}/same-size`, "2.0.0");
    const text = await Deno.readTextFile(`${same.folder}/queen-rbee`);
    await Deno.writeTextFile(`${same.folder}/queen-rbee`, text.replace("2.0.0", "2.0.1"));
    await assert.rejects(placePrograms(same, options), codeOf("CHECKSUM_MISMATCH"));
    const three = await makeBuild(`${root}/three`, "2.0.0", four.slice(1));
    await assert.rejects(placePrograms(three, options), codeOf("EXECUTABLES_NOT_FOUND"));
    await isWhole(bin, "1.0.0");
  }));

Deno.test("what no installation put there is left alone, unless it is forced", () =>
  withBin(async ({ root, bin, options }) => {
    const build = await makeBuild(`${root}/1`, "1.0.0");
    await Deno.writeTextFile(`${bin}/rbee`, "another tool");
    await Deno.writeTextFile(`${bin}/queen-rbee`, "and one more");
    await assert.rejects(placePrograms(build, options), (error) => {
      assert.ok(codeOf("FILE_NOT_OURS")(error));
      assert.match((error as RbeeError).message, /bin\/queen-rbee \(and .*bin\/rbee\)/);
      assert.match((error as RbeeError).hint, /--force/);
      return true;
    });
    assert.deepEqual(namesIn(bin), ["queen-rbee", "rbee"]);
    assert.equal(await Deno.readTextFile(`${bin}/rbee`), "another tool");
    await placePrograms(build, { ...options, force: true });
    await isWhole(bin, "1.0.0");
  }));

Deno.test("the same file, copied there by hand, counts as installed", () =>
  withBin(async ({ root, bin, options }) => {
    const build = await makeBuild(`${root}/1`, "1.0.0");
    await Deno.copyFile(`${build.folder}/queen-rbee`, `${bin}/queen-rbee`);
    const placed = await placePrograms(build, options);
    assert.equal(placed.find(({ name }) => name === "queen-rbee")?.state, "kept");
    await isWhole(bin, "1.0.0");
  }));

Deno.test("installing again mends what was damaged, and clears away what a killed installation left", () =>
  withBin(async ({ root, bin, options }) => {
    const build = await makeBuild(`${root}/1`, "1.0.0");
    await placePrograms(build, options);
    await Deno.truncate(`${bin}/rbee-hive`, 3);
    await Deno.chmod(`${bin}/queen-rbee`, 0o600);
    await Deno.writeTextFile(`${bin}/.rbee-keeper.rbee-part`, "half");
    const placed = await placePrograms(build, options);
    assert.deepEqual(placed.filter(({ state }) => state === "replaced"), [{ name: "rbee-hive", state: "replaced" }]);
    assert.equal((await Deno.stat(`${bin}/queen-rbee`)).mode! & 0o777, 0o755);
    await isWhole(bin, "1.0.0");
  }));

Deno.test("from the bin folder itself nothing is copied; a damaged file there is told, not hidden", () =>
  withBin(async ({ root, bin, options }) => {
    await placePrograms(await makeBuild(`${root}/1`, "1.0.0"), options);
    const own = await readManifest(bin);
    assert.deepEqual(new Set((await placePrograms(own, options)).map(({ state }) => state)), new Set(["kept"]));
    await Deno.truncate(`${bin}/rbee-hive`, 3);
    await assert.rejects(placePrograms(own, options), codeOf("CHECKSUM_MISMATCH"));
    assert.equal((await Deno.stat(`${bin}/rbee-hive`)).size, 3);
  }));

Deno.test("of two installations at once one comes after the other: the programs are all of one build", () =>
  withBin(async ({ root, bin, options }) => {
    const builds = [await makeBuild(`${root}/1`, "1.0.0"), await makeBuild(`${root}/2`, "2.0.0")];
    await Promise.all([...builds, ...builds].map((build) => placePrograms(build, options)));
    await isWhole(bin, (await readManifest(bin)).manifest.version);
  }));

Deno.test("one that is canceled while it copies has replaced nothing", () =>
  withBin(async ({ root, bin, options }) => {
    await placePrograms(await makeBuild(`${root}/1`, "1.0.0"), options);
    const canceled = new AbortController();
    const onCopy = (name: string) => name === "rbee-hive" && canceled.abort(new Error("Ctrl+C"));
    const build = await makeBuild(`${root}/2`, "2.0.0");
    await assert.rejects(placePrograms(build, { ...options, signal: canceled.signal, onCopy }), /Ctrl\+C/);
    await isWhole(bin, "1.0.0");
  }));
