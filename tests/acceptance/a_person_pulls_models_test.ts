import assert from "node:assert/strict";
import { tinyGguf } from "../../native/tiny.ts";
import { join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { HubWorld, modelOf } from "../support/hub_world.ts";

const repo = "acme/story-GGUF";
const ref = `hf:${repo}:Q4_K_M`;
const model = modelOf(8 * 1024 * 1024);

/** A hub that sends slowly may wait with its next piece when a test ends. */
const test = (name: string, fn: () => Promise<void>) =>
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn });

/** Runs a test in a world with a hub, in which nothing of rbee runs yet. */
async function withHub(run: (at: HubWorld) => Promise<void>): Promise<void> {
  await using at = new HubWorld({ accepted: ["hf_secret"] });
  await at.hub.add(repo, { "story-Q4_K_M.gguf": model });
  try {
    await run(at);
  } catch (error) {
    if (error instanceof Error) error.message += `\n${at.world.report()}`;
    throw error;
  }
}

test("Ctrl+C during a pull leaves nothing running and what came on the disk; the next pull goes on", async () => {
  await withHub(async (at) => {
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 2 * 1024 * 1024 });
    const pull = at.world.start("rbee", ["models", "pull", ref]);
    await pull.sees(/Downloading: [1-9]\d?%/, { withinMs: 10_000 });
    assert.ok(pull.interrupt());
    const { code, stderr } = await pull.ends(2_000);
    assert.equal(code, 130, stderr);
    assert.match(stderr, /Canceled\.\n\[rbee-keeper\] What came stays\. Go on with: rbee models pull hf:acme\S+\n$/);
    await at.world.nothingLeft(5_000);
    assert.ok(at.files().some((path) => path.endsWith(".gguf.part")), at.files().join());
    at.hub.faults.clear();
    const again = await at.world.run("rbee", ["models", "pull", ref]);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^✓ hf:acme\/story-GGUF:Q4_K_M is on local: 8\.0 MB, downloaded\n$/);
    // The file once; what was on its way when it was broken off, and the header.
    assert.ok(at.hub.bytesSent("Q4_K_M") < model.length + 3 * 1024 * 1024, `${at.hub.bytesSent("Q4_K_M")} bytes`);
    await at.world.nothingLeft(5_000);
  });
});

test("two who pull the same model share one download, and one who leaves does not end it", async () => {
  await withHub(async (at) => {
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 4 * 1024 * 1024 });
    await at.world.up();
    const [first, second] = [1, 2].map(() => at.world.start("rbee", ["models", "pull", ref]));
    for (const one of [first, second]) await one.sees(/Downloading: [1-9]\d?%/, { withinMs: 10_000 });
    first.interrupt();
    assert.equal((await first.ends(2_000)).code, 130);
    const { code, stderr } = await second.ends(15_000);
    assert.equal(code, 0, stderr);
    const { json } = await at.call("GET /v1/models/downloads");
    assert.equal((json.downloads as unknown as unknown[]).length, 1);
    assert.deepEqual(
      (await at.world.run("rbee", ["models", "pull", ref])).stdout,
      [
        "✓ hf:acme/story-GGUF:Q4_K_M is on local: 8.0 MB, was there already\n",
      ].join(""),
    );
  });
});

test("a killed queen stops a pull, and a killed hive does not: it goes on where it was", async () => {
  await withHub(async (at) => {
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 3 * 1024 * 1024 });
    await at.world.up();
    const pull = at.world.start("rbee", ["models", "pull", ref]);
    await pull.sees(/Downloading: [1-9]\d?%/, { withinMs: 10_000 });
    const before = at.world.hivePid();
    Deno.kill(before, "SIGKILL");
    const { code, stdout, stderr } = await pull.ends(20_000);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /downloaded/);
    assert.notEqual(at.world.hivePid(), before);
    assert.ok(at.hub.bytesSent("Q4_K_M") < model.length + 5 * 1024 * 1024, `${at.hub.bytesSent("Q4_K_M")} bytes`);

    assert.equal((await at.world.run("rbee", ["models", "rm", ref])).code, 0);
    const second = at.world.start("rbee", ["models", "pull", ref]);
    await second.sees(/Downloading: [1-9]\d?%/, { withinMs: 10_000 });
    Deno.kill(at.world.queenPid(), "SIGKILL");
    assert.equal((await second.ends(10_000)).code, 1);
    await eventually(() => at.world.processes().length === 0, { withinMs: 10_000, what: "nothing runs" });
    assert.ok(at.files().some((path) => path.endsWith(".gguf.part")), at.files().join());
  });
});

test("a model is listed, shown, checked, damaged, fetched anew, imported and removed by its names", async () => {
  await withHub(async (at) => {
    await at.world.up();
    const rbee = async (...args: string[]) => await at.world.run("rbee", ["models", ...args]);
    assert.equal((await rbee("pull", `hf:${repo}`)).code, 0);
    const list = await rbee();
    assert.match(list.stdout, /^NAME .*\nstory-Q4_K_M +hf:acme\/story-GGUF\S* +8\.0 MB +\S+ +local +never\n$/);
    assert.match((await rbee("show", "story-Q4_K_M")).stdout, /Architecture: llama\n[^]*Digest: sha256:[0-9a-f]{64}\n/);
    assert.match((await rbee("verify", ref)).stdout, /^✓ .*every byte is as it should be/);

    const path = at.files().find((one) => one.endsWith(".gguf"))!;
    const { mtime } = Deno.statSync(path);
    const file = Deno.openSync(path, { write: true });
    file.seekSync(-1_000, Deno.SeekMode.End);
    file.writeSync(new Uint8Array(100).fill(7));
    file.close();
    Deno.utimeSync(path, mtime!, mtime!); // as a disk that rots
    const damaged = await rbee("verify", "story-Q4_K_M");
    assert.deepEqual([damaged.code, damaged.stdout.startsWith("✗ ")], [1, true], damaged.stdout + damaged.stderr);
    const anew = await rbee("pull", ref);
    assert.equal(anew.code, 0, anew.stderr);
    assert.equal((await rbee("verify", ref)).code, 0);

    const own = join(at.world.userHome, "own.gguf");
    Deno.copyFileSync(tinyGguf(), own);
    const imported = await rbee("import", "own.gguf");
    assert.match(imported.stdout, /^✓ own: 2\.3 MB, /, imported.stderr);
    const used = await at.world.run("rbee", ["infer", "--model", `file:${own}`, "-p", "hello", "--max-tokens", "3"]);
    assert.equal(used.code, 0, used.stderr);
    const busy = await rbee("rm", `file:${own}`);
    assert.match(busy.stderr, /MODEL_IN_USE/, busy.stdout);

    const removed = await rbee("rm", "story-Q4_K_M");
    assert.match(removed.stdout, /^✓ hf:acme\/story-GGUF\S* removed from local: 8\.0 MB freed\n/, removed.stderr);
    assert.deepEqual(at.files().filter((one) => one.includes("story")), []);
    assert.equal((await rbee("rm", ref)).code, 1);
  });
});

test("what is removed is what was named, and no other one of its repository; also what was broken off", async () => {
  await withHub(async (at) => {
    await at.hub.add(repo, { "story-Q4_K_M.gguf": model, "story-Q5_0.gguf": model });
    await at.world.up();
    const rbee = async (...args: string[]) => await at.world.run("rbee", ["models", ...args]);
    at.hub.faults.add({ on: "bytes", bytesPerSecond: 2 * 1024 * 1024 });
    const pull = at.world.start("rbee", ["models", "pull", ref]);
    await pull.sees(/Downloading: [1-9]\d?%/, { withinMs: 10_000 });
    pull.interrupt();
    await pull.ends(2_000);
    at.hub.faults.clear();
    assert.equal((await rbee("pull", `hf:${repo}:Q5_0`)).code, 0);
    const whole = () => at.files().filter((path) => path.endsWith("Q5_0.gguf")).length;
    // The header of this model says Q8_0, whatever it is called.
    for (const other of ["Q8_0", "Q2_K"]) {
      for (const verb of ["rm", "verify"]) {
        const { code, stderr } = await rbee(verb, `hf:${repo}:${other}`);
        assert.deepEqual([code, whole()], [1, 1], stderr);
      }
    }
    await eventually(async () => (await rbee("rm", ref)).code === 0, { withinMs: 10_000, what: "the part is let go" });
    assert.deepEqual([at.files().filter((path) => path.includes("Q4_K_M")), whole()], [[], 1]);
    assert.equal((await rbee("rm", ref)).code, 1);
    assert.equal((await rbee("rm", `hf:${repo}:q5_0`)).code, 0);
    assert.equal(whole(), 0);
  });
});

test("what is not clear or not allowed is told with a line that works", async () => {
  await withHub(async (at) => {
    await at.hub.add(repo, { "story-Q4_K_M.gguf": model, "story-Q8_0.gguf": model });
    await at.hub.add("acme/closed-GGUF", { "closed-Q4_0.gguf": model }, { isGated: true });
    const unclear = await at.world.run("rbee", ["infer", "--model", `hf:${repo}`, "-p", "hello"]);
    assert.equal(unclear.code, 1);
    assert.match(
      unclear.stderr,
      /MODEL_AMBIGUOUS[^]*Q4_K_M +Q4_K_M +8\.0 MB +yes\n[^]*rbee models pull hf:acme\/story-GGUF:Q4_K_M/,
    );
    const closed = ["models", "pull", "hf:acme/closed-GGUF:Q4_0"];
    const refused = await at.world.run("rbee", closed);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /ACCESS_DENIED[^]*HF_TOKEN=hf_\.\.\. rbee models pull hf:acme\/closed-GGUF /);
    const allowed = await at.world.run("rbee", closed, { env: { HF_TOKEN: "hf_secret" } });
    assert.equal(allowed.code, 0, allowed.stderr);
  });
});
