import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import type { Peer } from "../runtime/call.ts";
import { serve, type Server } from "../runtime/serve.ts";
import { ModelFetches } from "./model_fetches.ts";
import type { FetchListener } from "./model_way.ts";
import { downloading, recordOf, StandInModels } from "./testdata/stand_in_models.ts";
import { noLog } from "./testdata/stand_in.ts";

// The client of `fetch` keeps connections for the next request; they are nobody's leak.
const relaxed = { sanitizeResources: false, sanitizeOps: false };
const model = "hf:org/tiny:Q4_0";
const token = "a".repeat(64);

const until = async (look: () => boolean) => {
  for (let n = 0; n < 500 && !look(); n++) await new Promise((resolve) => setTimeout(resolve, 10));
  ok(look(), `never: ${look}`);
};

/** Some hives by name. */
class Pool implements AsyncDisposable {
  readonly hives = new Map<string, { peer: Peer; check: () => Promise<void> }>();
  readonly fetches = new ModelFetches({ hives: this.hives, log: noLog });
  readonly #servers: Server[] = [];
  checks = 0;

  add(node: string): StandInModels {
    const models = new StandInModels();
    const auth = { token, openNeedsToken: true };
    const common = { program: "rbee-hive", auth, log: noLog, hostname: "127.0.0.1", port: 0 };
    const server = serve({ ...common, endpoints: models.endpoints() });
    this.#servers.push(server);
    const check = () => Promise.resolve(void this.checks++);
    this.hives.set(node, { peer: { program: "rbee-hive", base: server.url, token }, check });
    return models;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop(10)));
  }
}

class Heard implements FetchListener {
  readonly said: string[] = [];
  readonly events: ProgressEvent[] = [];
  narrate({ human }: { human: string }): void {
    this.said.push(human);
  }
  progress(event: ProgressEvent): void {
    this.events.push(event);
  }
}

const forever = () => new AbortController().signal;
const randomBytes = (length: number) => {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
};

Deno.test("a model that is there is cached; one that is not is followed to its end", relaxed, async () => {
  await using pool = new Pool();
  const hive = pool.add("local");
  hive.models.push(recordOf(100));
  deepStrictEqual(await pool.fetches.bring({ node: "local", model }, new Heard(), forever()), {
    localPath: "/models/tiny-q4.gguf",
    source: "cached",
  });
  hive.models.length = 0;
  hive.hub.set(model, recordOf(100));
  const heard = new Heard();
  hive.scripts.push(async (out) => {
    const said = { actor: "rbee-hive", action: "model-download", target: model, human: "🔁 Trying again" };
    await out.write(encodeJsonEvent(downloading(40)) + encodeJsonEvent(said, "narration"));
    await out.write(encodeJsonEvent({ stage: "complete", local_path: "/models/tiny-q4.gguf" }) + doneText);
  });
  const fetched = await pool.fetches.bring({ node: "local", model }, heard, forever());
  strictEqual(fetched.source, "hub");
  deepStrictEqual(heard.said, ["🔁 Trying again"]);
  deepStrictEqual(heard.events, [downloading(40), { stage: "complete", local_path: "/models/tiny-q4.gguf" }]);
});

Deno.test("only the stream broke: it is followed again, and its hive is looked at meanwhile", relaxed, async () => {
  await using pool = new Pool();
  const hive = pool.add("local");
  hive.hub.set(model, recordOf(100));
  for (const done of [10, 20]) {
    hive.scripts.push(async (out) => {
      await out.write(encodeJsonEvent(downloading(done)));
      await new Promise((resolve) => setTimeout(resolve, 50));
      throw new Error("cut");
    });
  }
  const heard = new Heard();
  strictEqual((await pool.fetches.bring({ node: "local", model }, heard, forever())).source, "hub");
  deepStrictEqual(heard.events.slice(0, 2), [downloading(10), downloading(20)]);
  strictEqual(hive.asked.length, 3);
  strictEqual(pool.checks, 2);
});

Deno.test(
  "a download that failed is told with its code, its hint and its machine, and not tried again",
  relaxed,
  async () => {
    await using pool = new Pool();
    const hive = pool.add("blep");
    hive.hub.set(model, recordOf(100));
    hive.scripts.push(async (out) => {
      const error = {
        code: "ACCESS_DENIED",
        message: "Cannot read org/tiny: gated",
        details: { status: 401 },
        hint: "Set HF_TOKEN",
      };
      await out.write(encodeJsonEvent({ stage: "error", message: error.message, error }) + doneText);
    });
    await rejects(pool.fetches.bring({ node: "blep", model }, new Heard(), forever()), (error: RbeeError) => {
      strictEqual(error.code, "ACCESS_DENIED");
      strictEqual(error.hint, "Set HF_TOKEN");
      match(error.message, /gated \(on blep\)/);
      return true;
    });
    strictEqual(hive.asked.length, 1);
  },
);

Deno.test("two that want the same share one fetch; it ends with the last one that leaves", relaxed, async () => {
  await using pool = new Pool();
  const hive = pool.add("local");
  hive.hub.set(model, recordOf(100));
  let isLeft = false;
  hive.scripts.push(async (out) => {
    await out.write(encodeJsonEvent(downloading(30)));
    await new Promise((resolve) => out.signal.addEventListener("abort", resolve, { once: true }));
    isLeft = true;
  });
  const [first, second] = [new AbortController(), new AbortController()];
  const [a, b] = [new Heard(), new Heard()];
  const one = pool.fetches.bring({ node: "local", model }, a, first.signal);
  await until(() => a.events.length === 1);
  const other = pool.fetches.bring({ node: "local", model }, b, second.signal);
  deepStrictEqual(b.events, [downloading(30)], "who comes later is told how far it is");
  strictEqual(hive.asked.length, 1);
  first.abort(new RbeeError("REQUEST_CANCELED"));
  await rejects(one, { code: "REQUEST_CANCELED" });
  strictEqual(isLeft, false);
  second.abort(new RbeeError("REQUEST_CANCELED"));
  await rejects(other, { code: "REQUEST_CANCELED" });
  await until(() => isLeft);
});

Deno.test(
  "a model is copied from the hive that has it, byte for byte, and goes on where it broke",
  relaxed,
  async () => {
    await using pool = new Pool();
    const [source, target] = [pool.add("blep"), pool.add("local")];
    const bytes = randomBytes(limits.copyPieceBytes + 3_000_001);
    source.models.push(recordOf(bytes.length));
    source.bytes.set(model, bytes);
    source.breaks.push(1_000_000, 200_000);
    target.hub.set(model, recordOf(bytes.length));
    const heard = new Heard();
    const fetched = await pool.fetches.bring({ node: "local", model, from: "blep" }, heard, forever());
    strictEqual(fetched.source, "peer");
    deepStrictEqual(target.received.length, bytes.length);
    ok(target.received.every((byte, at) => byte === bytes[at]));
    deepStrictEqual(target.asked.map(({ source }) => source), ["peer", "peer", "peer"]);
    match(heard.said.join("\n"), /Copying hf:org\/tiny:Q4_0 from blep to local/);
  },
);

Deno.test(
  "a source that cannot give it, or gives something else: then the hub does, and people are told",
  relaxed,
  async () => {
    for (const fault of ["gone", "other", "wrong", "broken"] as const) {
      await using pool = new Pool();
      const [source, target] = [pool.add("blep"), pool.add("local")];
      const bytes = randomBytes(500_000);
      if (fault !== "gone") {
        source.models.push(
          recordOf(bytes.length, fault === "other" ? { digest: "sha256:bb" } : {}),
        );
      }
      source.bytes.set(model, bytes);
      if (fault === "broken") source.breaks.push(...Array(20).fill(0));
      target.isWrong = fault === "wrong";
      target.hub.set(model, recordOf(bytes.length));
      const heard = new Heard();
      const fetched = await pool.fetches.bring({ node: "local", model, from: "blep" }, heard, forever());
      strictEqual(fetched.source, "hub", fault);
      match(heard.said.join("\n"), /blep cannot give it .*: it comes from the hub/, fault);
      strictEqual(target.asked.at(-1)!.source, "hub");
    }
  },
);

Deno.test("a target that takes nothing holds up its source: the queen keeps little of it", relaxed, async () => {
  await using pool = new Pool();
  const [source, target] = [pool.add("blep"), pool.add("local")];
  const bytes = randomBytes(64 * 1024 * 1024);
  source.models.push(recordOf(bytes.length));
  source.bytes.set(model, bytes);
  target.hub.set(model, recordOf(bytes.length));
  const gate = Promise.withResolvers<void>();
  target.mayRead = gate.promise;
  const cut = new AbortController();
  const fetching = pool.fetches.bring({ node: "local", model, from: "blep" }, new Heard(), cut.signal);
  for (let before = -1; source.sent > before || source.sent === 0;) {
    before = source.sent;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  ok(source.sent < limits.copyPieceBytes, `${source.sent} bytes left the source though nobody takes them`);
  gate.resolve();
  strictEqual((await fetching).source, "peer");
});

Deno.test("four machines that want the same model draw it from the hub once", relaxed, async () => {
  await using pool = new Pool();
  const names = ["a", "b", "c", "d"];
  const hives = names.map((name) => pool.add(name));
  const bytes = randomBytes(300_000);
  const goOn = Promise.withResolvers<void>();
  for (const hive of hives) {
    hive.hub.set(model, recordOf(bytes.length));
    hive.bytes.set(model, bytes);
  }
  hives[0].scripts.push(async (out) => {
    await goOn.promise;
    hives[0].models.push(recordOf(bytes.length));
    await out.write(encodeJsonEvent({ stage: "complete", local_path: "/models/tiny-q4.gguf" }) + doneText);
  });
  const heard = names.map(() => new Heard());
  const all = names.map((node, at) => pool.fetches.bring({ node, model }, heard[at], forever()));
  await until(() => heard.slice(1).every(({ said }) => /a is fetching .* just now/.test(said.join())));
  goOn.resolve();
  deepStrictEqual((await Promise.all(all)).map(({ source }) => source), ["hub", "peer", "peer", "peer"]);
  deepStrictEqual(hives.flatMap(({ asked }) => asked.map(({ source }) => source)).sort(), [
    "hub",
    "peer",
    "peer",
    "peer",
  ]);
});

Deno.test(
  "who waits for another machine's fetch fetches it itself when that one ends without it",
  relaxed,
  async () => {
    await using pool = new Pool();
    const hives = ["a", "b", "c"].map((name) => pool.add(name));
    for (const hive of hives) {
      hive.hub.set(model, recordOf(100));
      hive.bytes.set(model, new Uint8Array(100));
    }
    hives[0].scripts.push(async (out) => {
      await new Promise((resolve) => out.signal.addEventListener("abort", resolve, { once: true }));
    });
    const cut = new AbortController();
    const first = pool.fetches.bring({ node: "a", model }, new Heard(), cut.signal);
    const heard = [new Heard(), new Heard()];
    const others = ["b", "c"].map((node, at) => pool.fetches.bring({ node, model }, heard[at], forever()));
    await until(() => heard.every(({ said }) => said.length === 1));
    cut.abort(new RbeeError("REQUEST_CANCELED"));
    await rejects(first, { code: "REQUEST_CANCELED" });
    deepStrictEqual((await Promise.all(others)).map(({ source }) => source).sort(), ["hub", "peer"]);
  },
);
