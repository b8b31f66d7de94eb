import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { type HubWorld, inHubWorld, modelOf } from "../support/hub_world.ts";
import { nextInferWorks } from "../support/flows.ts";
import type { HubFault } from "../support/hub_faults.ts";

const threeMb = modelOf(3 * 1024 * 1024);
const repo = "acme/story-GGUF";
const file = "story-Q4_K_M.gguf";
const ref = `hf:${repo}:Q4_K_M`;

/** Nothing was written outside the models folder, nothing half is in the catalog, and the hive lives. */
async function noHarm(at: HubWorld, before: readonly string[]): Promise<void> {
  const outside = at.files(at.world.root).filter((path) => !path.startsWith(at.models));
  const ours = /\/(logs\/|models\.db|hive\.(json|token)|queen\.|config\.toml|\.lock|speeds\.json)/;
  assert.deepEqual(outside.filter((path) => !before.includes(path) && !ours.test(path)), []);
  const { json } = await at.call("GET /v1/models");
  assert.deepEqual(json.models, []);
  assert.deepEqual(at.files().filter((path) => path.endsWith(".gguf")), []);
}

const breaks: Record<string, { faults: HubFault[]; code: RegExp; message: RegExp }> = {
  "a wrong digest": {
    faults: [{ on: "bytes", damageAt: 1_900_000 }],
    code: /^CHECKSUM_MISMATCH$/,
    message: /SHA-256 differs/,
  },
  "more bytes than the hub told": {
    faults: [{ on: "bytes", lengthOff: 10 }],
    code: /^DOWNLOAD_FAILED$/,
    message: /announces 3145738 bytes, and the file has 3145728/,
  },
  "fewer bytes than the hub told": {
    faults: [{ on: "bytes", lengthOff: -10 }],
    code: /^DOWNLOAD_FAILED$/,
    message: /announces 3145718 bytes/,
  },
  "a redirect that has no end": {
    faults: [{ on: "bytes", redirectTo: "/acme/story-GGUF/resolve/main/story-Q4_K_M.gguf" }],
    code: /^DOWNLOAD_FAILED$/,
    message: /redirects more than 5 times/,
  },
  "a redirect to a file": {
    faults: [{ on: "bytes", redirectTo: "file:///etc/passwd" }],
    code: /^DOWNLOAD_FAILED$/,
    message: /redirects to file:/,
  },
  "a packed body": {
    faults: [{ on: "bytes", headers: { "content-encoding": "br" } }],
    code: /^DOWNLOAD_FAILED$/,
    message: /packed|reset/,
  },
  "always an error of the server": {
    faults: [{ on: "bytes", status: 503 }],
    code: /^DOWNLOAD_FAILED$/,
    message: /status 503/,
  },
  "a file that is gone": {
    faults: [{ on: "bytes", status: 404, headers: { "x-error-code": "EntryNotFound" } }],
    code: /^MODEL_NOT_FOUND$/,
    message: /has no file/,
  },
};

Deno.test("what a hub does wrong with a file is one clear error, and leaves nothing that counts", async (t) => {
  await inHubWorld(async (at) => {
    await at.hub.add(repo, { [file]: threeMb });
    const before = at.files(at.world.root);
    for (const [what, { faults, code, message }] of Object.entries(breaks)) {
      await t.step(what, async () => {
        at.hub.faults.clear();
        at.hub.faults.add(...faults);
        const { last } = await at.pull(ref);
        assert.equal(last.stage, "error");
        assert.match(last.error?.code ?? "", code, last.message);
        assert.match(last.message ?? "", message);
        assert.ok(last.error?.hint, "it says what to do");
        assert.ok(!JSON.stringify(last).includes("secret-of-the-cdn"), "no signed address is told");
        await noHarm(at, before);
      });
    }
    at.hub.faults.clear();
    assert.equal((await at.pull(ref)).last.stage, "complete", "and then the next pull works");
  });
});

const cured: Record<string, HubFault[]> = {
  "a body without an end is cut where the file ends": [{ on: "bytes", isEndless: true }],
  "bytes that were damaged once come again": [{ on: "bytes", damageAt: 100, times: 1 }],
  "a server that knows no ranges": [
    { on: "bytes", cutAt: 1_000_000, how: "close", times: 1 },
    { on: "bytes", ignoresRange: true },
  ],
  "a server that is busy now and says how long": [{
    on: "bytes",
    status: 429,
    headers: { "retry-after": "1" },
    times: 2,
  }],
  "a file that changes at the hub meanwhile": [
    { on: "bytes", cutAt: 1_000_000, how: "close", headers: { etag: '"before"' }, times: 1 },
  ],
  "a listing that fails twice": [{ on: "api", status: 500, times: 2 }],
  "slow bytes": [{ on: "bytes", bytesPerSecond: 4_000_000 }],
};

Deno.test("what a hub does wrong for a while is got over", async (t) => {
  for (const [what, faults] of Object.entries(cured)) {
    await t.step(what, async () => {
      await inHubWorld(async (at) => {
        await at.hub.add(repo, { [file]: threeMb });
        at.hub.faults.add(...faults);
        const { last } = await at.pull(ref);
        assert.equal(last.stage, "complete", last.message);
        assert.deepEqual(Deno.readFileSync(String(last.local_path)), threeMb);
        assert.deepEqual(at.files(), [last.local_path], "no part is left");
      });
    });
  }
});

Deno.test("names that lead out of the folder are refused, whatever else the repository has", async (t) => {
  await inHubWorld(async (at) => {
    const before = at.files(at.world.root);
    const names = [
      ...["../../../../u/x.gguf", "/etc/x.gguf", "a/../../x.gguf", "a\\..\\x.gguf", "a\u0000b.gguf", "a\nb.gguf"],
      ...[`${"x".repeat(250)}.gguf`, `${"d/".repeat(600)}x.gguf`, "a//x.gguf", "./x.gguf"],
    ];
    for (const [number, name] of names.entries()) {
      await t.step(JSON.stringify(name.slice(0, 40)), async () => {
        await at.hub.add(`acme/evil${number}-GGUF`, { [name]: threeMb });
        const { status, json } = await at.ask(`hf:acme/evil${number}-GGUF`);
        assert.equal(status, 502, JSON.stringify(json));
        assert.equal(json.error.code, "INVALID_RESPONSE");
        assert.match(String(json.error.message), /not safe/);
        await noHarm(at, before);
      });
    }
  });
});

Deno.test("a link in the models folder that leads out is not written through", async () => {
  await inHubWorld(async (at) => {
    await at.hub.add(repo, { [file]: threeMb });
    const outside = join(at.world.root, "outside");
    Deno.mkdirSync(outside);
    Deno.mkdirSync(join(at.models, "hf"), { recursive: true });
    Deno.symlinkSync(outside, join(at.models, "hf/acme"));
    const { last } = await at.pull(ref);
    assert.equal(last.error?.code, "HOME_NOT_WRITABLE");
    assert.match(last.message ?? "", /it is a link/);
    assert.deepEqual([...Deno.readDirSync(outside)], []);
  });
});

Deno.test("a redirect from the internet to an address of this network is refused", async () => {
  const proxy = (at: HubWorld) => {
    at.world.env.HTTP_PROXY = at.hub.url;
    at.world.env.HF_ENDPOINT = "http://hub.example";
  };
  await inHubWorld(async (at) => {
    await at.hub.add(repo, { [file]: threeMb });
    for (const target of [at.hub.cdnUrl, "http://[::1]:1/", "http://10.0.0.1/", "http://169.254.169.254/latest"]) {
      at.hub.faults.clear();
      at.hub.faults.add({ on: "resolve", method: "GET", redirectTo: target });
      const { last } = await at.pull(ref);
      assert.equal(last.error?.code, "DOWNLOAD_FAILED");
      assert.match(last.message ?? "", /redirects from the internet to the private address/);
    }
    at.hub.faults.clear();
    assert.equal((await at.pull(ref)).last.stage, "complete", "through the proxy all is well");
    await nextInferWorks(at.world); // and rbee's own connections go around it
  }, { prepare: proxy });
});

Deno.test("the token goes to the hub alone, and is told to nobody", async () => {
  const token = "hf_averysecrettokenindeed";
  const prepare = (at: HubWorld) => void (at.world.env.HF_TOKEN = token);
  await inHubWorld(async (at) => {
    await at.hub.add(repo, { [file]: threeMb }, { isGated: true });
    at.hub.faults.add({ on: "bytes", cutAt: 1_000_000, how: "close", times: 1 });
    const { last, events } = await at.pull(ref);
    assert.equal(last.stage, "complete", last.message);
    const toHub = at.hub.log.filter(({ origin }) => origin === "hub");
    const toCdn = at.hub.log.filter(({ origin }) => origin === "cdn");
    assert.ok(toHub.every(({ hasToken }) => hasToken) && toHub.length > 0);
    assert.ok(toCdn.every(({ hasToken }) => !hasToken) && toCdn.length === 2);
    const texts = [JSON.stringify(events), ...at.files(at.world.home).map((path) => Deno.readTextFileSync(path))];
    assert.ok(!texts.some((text) => text.includes(token)));
    const spawned = await at.call("POST /v1/workers/spawn", { model_ref: "builtin:tiny" });
    assert.equal(spawned.status, 200, spawned.text);
    const [worker] = at.world.processes("llm-worker-rbee");
    assert.ok(!Deno.readTextFileSync(`/proc/${worker.pid}/environ`).includes(token), "nor to a worker");
  }, { accepted: [token], prepare });
});

Deno.test("who may not read a repository is told what is missing", async (t) => {
  const says = async (token: string | undefined, code: string, message: RegExp, hint: RegExp) => {
    const prepare = (at: HubWorld) => void (token && (at.world.env.HF_TOKEN = token));
    await inHubWorld(async (at) => {
      await at.hub.add(repo, { [file]: threeMb }, { isGated: true });
      const { json } = await at.ask(ref);
      assert.equal(json.error.code, code);
      assert.match(String(json.error.message), message);
      assert.match(String(json.error.hint), hint);
    }, { tokens: ["hf_known"], accepted: ["hf_good"], prepare });
  };
  await t.step("no token", () => says(undefined, "ACCESS_DENIED", /HF_TOKEN is not set/, /acme\/story-GGUF.*HF_TOKEN/));
  await t.step(
    "a wrong one",
    () => says("hf_wrong", "ACCESS_DENIED", /token of HF_TOKEN is wrong/, /settings\/tokens/),
  );
  await t.step("terms", () => says("hf_known", "ACCESS_DENIED", /terms are not accepted/, /http.*acme\/story-GGUF/));
});
