import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { doneText, encodeJsonEvent, parseText } from "../protocol/sse.ts";
import { BenchQueen } from "./testdata/bench_queen.ts";
import { StandInHive } from "./testdata/stand_in.ts";
import { downloading, recordOf, StandInModels } from "./testdata/stand_in_models.ts";

// The client of `fetch` keeps connections for the next request; they are nobody's leak.
const relaxed = { sanitizeResources: false, sanitizeOps: false };
const model = "hf:org/tiny:Q4_0";

const until = async (look: () => boolean) => {
  for (let n = 0; n < 500 && !look(); n++) await new Promise((resolve) => setTimeout(resolve, 10));
  ok(look(), `never: ${look}`);
};

async function withQueen(run: (queen: BenchQueen, models: StandInModels) => Promise<void>): Promise<void> {
  const models = new StandInModels();
  await using hive = new StandInHive({ models });
  await using queen = await BenchQueen.start(hive);
  await run(queen, models);
}

interface Answer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- what came, whatever its shape
  readonly events: { event?: string; value: any }[];
}

/** Posts, and returns every event of the stream, or the one body. */
async function post(queen: BenchQueen, path: string, body: unknown): Promise<Answer> {
  const response = await queen.post(path, body, { token: true });
  const text = await response.text();
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
  const events = isStream ? parseText(text).filter(({ data }) => data !== "[DONE]") : [{ data: text }];
  if (isStream) ok(text.endsWith(doneText), text);
  return {
    status: response.status,
    events: events.map((one) => ({ ...("event" in one && { event: one.event }), value: JSON.parse(one.data) })),
  };
}

Deno.test(
  "models are listed with their machine and reference; a machine that is not known is an error",
  relaxed,
  async () => {
    await withQueen(async (queen, models) => {
      models.models.push(recordOf(100));
      const { models: listed, nodes } = await (await queen.get("/v2/models")).json();
      deepStrictEqual(listed, [{ ...recordOf(100), node: "local", ref: model }]);
      deepStrictEqual(nodes, [{ node: "local", status: "connected", error: null }]);
      const missing = await queen.get("/v2/models?node=nobody");
      strictEqual(missing.status, 404);
      strictEqual((await missing.json()).error.code, "NODE_NOT_FOUND");
    });
  },
);

Deno.test("a pull is narration, progress, one result and the end mark", relaxed, async () => {
  await withQueen(async (queen, models) => {
    models.hub.set(model, recordOf(100));
    models.scripts.push(async (out) => {
      await out.write(encodeJsonEvent(downloading(40)));
      models.models.push(recordOf(100));
      await out.write(encodeJsonEvent({ stage: "complete", local_path: "/models/tiny-q4.gguf" }) + doneText);
    });
    const { events } = await post(queen, "/v2/models/pull", { model });
    deepStrictEqual(events.map(({ event }) => event), ["narration", "progress", "progress", undefined]);
    match(events[0].value.human, /Pulling hf:org\/tiny:Q4_0 to local/);
    deepStrictEqual(events[1].value, downloading(40));
    deepStrictEqual(events[3].value, {
      ...{ node: "local", model_ref: model, source: "hub", bytes: 100, model: recordOf(100) },
    });
    const again = await post(queen, "/v2/models/pull", { model, node: "local" });
    deepStrictEqual([again.events.at(-1)!.value.source, again.events.at(-1)!.value.bytes], ["cached", 0]);
  });
});

Deno.test("a pull needs the token, and a reference that can be read", relaxed, async () => {
  await withQueen(async (queen) => {
    strictEqual((await queen.post("/v2/models/pull", { model })).status, 401);
    const wrong = await post(queen, "/v2/models/pull", { model: "what is this" });
    strictEqual(wrong.status, 400);
    strictEqual(wrong.events[0].value.error.code, "INVALID_MODEL_REF");
    const missing = await post(queen, "/v2/models/pull", { model });
    strictEqual(missing.events.at(-1)!.value.error.code, "MODEL_NOT_FOUND");
  });
});

Deno.test("whoever leaves ends the pull", relaxed, async () => {
  await withQueen(async (queen, models) => {
    models.hub.set(model, recordOf(100));
    models.scripts.push(async (out) => {
      await out.write(encodeJsonEvent(downloading(40)));
      await new Promise((resolve) => out.signal.addEventListener("abort", resolve, { once: true }));
    });
    const cut = new AbortController();
    const response = await queen.post("/v2/models/pull", { model }, { token: true, signal: cut.signal });
    await until(() => models.followers === 1);
    cut.abort();
    await response.body?.cancel().catch(() => {});
    await until(() => models.followers === 0);
  });
});

Deno.test(
  "a model is removed by its id or what its hive takes for it, and one that nobody can have is an error",
  relaxed,
  async () => {
    await withQueen(async (queen, models) => {
      models.models.push(recordOf(100));
      // Its hive knows whether another one of the repository is meant, or what a broken download left.
      const asked = ["hf:org/tiny", "hf:org/tiny:Q8_0", "hf:org/other"];
      for (const name of ["tiny-q4", model, ...asked]) {
        const model_ref = name === "tiny-q4" ? model : name;
        const { events } = await post(queen, "/v2/models/remove", { model: name });
        deepStrictEqual(events[0].value, { node: "local", model_ref, removed_bytes: 7, kept: [] }, name);
      }
      deepStrictEqual(models.removed, [model, model, ...asked]);
      const missing = await post(queen, "/v2/models/remove", { model: "import:other" });
      deepStrictEqual([missing.status, missing.events[0].value.error.code], [404, "MODEL_NOT_FOUND"]);
    });
  },
);

Deno.test("checking and importing pass on what the hive tells, its error as well", relaxed, async () => {
  await withQueen(async (queen, models) => {
    models.models.push(recordOf(100));
    const checked = await post(queen, "/v2/models/verify", { model: "tiny-q4" });
    deepStrictEqual(checked.events, [
      { event: "progress", value: downloading(50) },
      { value: { node: "local", model_ref: model, result: "ok", digest: "sha256:aa" }, event: undefined },
    ]);
    const imported = await post(queen, "/v2/models/import", { path: "/models" });
    deepStrictEqual(imported.events.at(-1)!.value, { node: "local", models: models.models, skipped: [] });
    const failed = await post(queen, "/v2/models/import", { path: "/nowhere" });
    strictEqual(failed.events.at(-1)!.value.error.code, "MODEL_NOT_FOUND");
  });
});
