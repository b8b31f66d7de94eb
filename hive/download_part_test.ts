import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { bytesHere, Part } from "./download_part.ts";
import { makePlace, placeOf } from "./model_places.ts";
import { digestsBeside } from "./sidecar.ts";

const bytes = Uint8Array.from({ length: 3_000_000 }, (_none, i) => i * 31 & 255);
const sha256 = createHash("sha256").update(bytes).digest("hex");
const wanted = { size: bytes.length, sha256 };
const never = new AbortController().signal;

async function inFolder(test: (path: string, folder: string) => Promise<void>): Promise<void> {
  const folder = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    await test(await makePlace(folder, "hf/a/b/main/x.gguf"), folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

async function opened(path: string, what = wanted): Promise<Part> {
  const part = await Part.open(path, what, never);
  assert.ok(part);
  return part;
}

const namesBeside = (path: string) =>
  [...Deno.readDirSync(path.slice(0, path.lastIndexOf("/")))].map(({ name }) => name).sort();

Deno.test("a part that was left is taken up with its digest, and becomes the file", async () => {
  await inFolder(async (path) => {
    {
      await using part = await opened(path);
      await part.add(bytes.subarray(0, 1_200_000));
    }
    assert.equal(await bytesHere(path, bytes.length), 1_200_000);
    await using part = await opened(path);
    assert.equal(part.bytes, 1_200_000);
    await part.add(bytes.subarray(1_200_000));
    assert.equal(part.digest(), sha256);
    await part.finish();
    assert.deepEqual(Deno.readFileSync(path), bytes);
    assert.deepEqual(namesBeside(path), ["x.gguf", "x.gguf.part.json"], "until a row knows the digest");
    assert.equal(await Part.open(path, wanted, never), undefined, "it is here");
  });
});

Deno.test("a part of another file, or of one that nobody knows, begins anew", async () => {
  await inFolder(async (path) => {
    const left = async (state?: string) => {
      Deno.writeFileSync(`${path}.part`, bytes.subarray(0, 1_000));
      if (state === undefined) await Deno.remove(`${path}.part.json`).catch(() => {}); // it may never have been
      else Deno.writeTextFileSync(`${path}.part.json`, state);
      await using part = await opened(path);
      return part.bytes;
    };
    assert.equal(await left(), 0);
    assert.equal(await left("{"), 0);
    assert.equal(await left(JSON.stringify({ ...wanted, sha256: "0".repeat(64), etag: null })), 0);
    assert.equal(await left(JSON.stringify({ ...wanted, size: 5, etag: null })), 0);
    assert.equal(await left(JSON.stringify({ ...wanted, etag: null })), 1_000);
    Deno.writeFileSync(`${path}.part`, new Uint8Array(bytes.length + 1));
    await using part = await opened(path);
    assert.equal(part.bytes, 0, "more than the file has");
  });
});

Deno.test("the digest of a whole file stays beside it, also one that nobody told; to which nothing came leaves nothing", async () => {
  await inFolder(async (path) => {
    {
      await using _part = await opened(path);
    }
    assert.deepEqual(namesBeside(path), []);
    {
      await using part = await opened(path, { ...wanted, sha256: null as unknown as string });
      await part.add(bytes);
      await part.finish();
    }
    assert.deepEqual([...await digestsBeside([path])], [["x.gguf", `sha256:${sha256}`]]);
  });
});

Deno.test("a file that is known to be an older version of the same length makes room, one that may be the right one does not", async () => {
  await inFolder(async (path) => {
    {
      await using part = await opened(path);
      await part.add(bytes);
      await part.finish();
    }
    const newer = { ...wanted, sha256: "0".repeat(64) };
    {
      await using part = await opened(path, newer);
      await part.add(bytes.subarray(0, 10));
      assert.deepEqual(namesBeside(path), ["x.gguf.part", "x.gguf.part.json"]);
    }
    Deno.removeSync(`${path}.part.json`);
    Deno.writeFileSync(path, bytes);
    assert.equal(await Part.open(path, newer, never), undefined);
  });
});

Deno.test("two who want one file take turns, and the second finds it whole", async () => {
  await inFolder(async (path) => {
    const part = await opened(path);
    const second = Part.open(path, wanted, never);
    await part.add(bytes);
    await part.finish();
    await part[Symbol.asyncDispose]();
    assert.equal(await second, undefined);
    assert.ok(!(await Deno.stat(`${path}.part`).catch(() => undefined)), "no part is left");
  });
});

Deno.test("whoever waits for another's part can be told to stop", async () => {
  await inFolder(async (path) => {
    await using _part = await opened(path);
    const stop = new AbortController();
    const second = Part.open(path, wanted, stop.signal);
    stop.abort(new Error("enough"));
    await assert.rejects(second, /enough/);
  });
});

Deno.test("nothing is written through a link", async () => {
  await inFolder(async (path, folder) => {
    Deno.symlinkSync("/dev/null", `${path}.part`);
    await assert.rejects(makePlace(folder, "hf/a/b/main/x.gguf"), /it is a link/);
    Deno.removeSync(`${path}.part`);
    Deno.mkdirSync(`${folder}/elsewhere`);
    Deno.symlinkSync(`${folder}/elsewhere`, `${folder}/hf/evil`);
    await assert.rejects(makePlace(folder, "hf/evil/b/main/x.gguf"), /it is a link/);
  });
});

Deno.test("each reference has a place of its own, below the folder", () => {
  const hub = { provider: "hf", org: "a", repo: "b" } as const;
  assert.equal(placeOf(hub, "x.gguf"), "hf/a/b/main/x.gguf");
  assert.equal(placeOf({ ...hub, revision: "refs/pr/1", variant: "Q4" }, "Q4/x.gguf"), "hf/a/b/refs~pr~1/Q4/x.gguf");
  assert.match(placeOf({ provider: "http", url: "https://h/x.gguf" }, "x.gguf"), /^http\/[0-9a-f]{16}\/x\.gguf$/);
  assert.throws(() => placeOf(hub, "../x.gguf"), /not safe/);
});
