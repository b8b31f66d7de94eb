import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { ModelFacts } from "../protocol/model.ts";
import type { Gpu } from "../protocol/node.ts";
import type { NodeView, Placement, WorkerView } from "./known.ts";
import { place } from "./placement.ts";
import { knownOf } from "./testdata/known.ts";

const mb = 1024 * 1024;
const gb = 1024 * mb;
const model = "hf:org/repo:Q4_K_M";
const layers = { layers: 32, context_length: 4_096, layer_bytes: 3_200 * mb, other_bytes: 800 * mb };
const facts: ModelFacts = {
  ...{ ref: model, size_bytes: 4_000 * mb, digest: null, quantization: "Q4_K_M" },
  shape: {
    ...{ architecture: "llama", vocab_size: 32_000, embedding_length: 4_096, feed_forward_length: 11_008 },
    ...{ head_count: 32, kv_elements_per_token: 2 * 32 * 1_024, ...layers },
  },
};

function node(name: string, more: { freeGb?: number; gpus?: Gpu[]; decode?: number; onDisk?: boolean } = {}): NodeView {
  const { freeGb = 32, gpus = [], decode, onDisk = true } = more;
  return {
    name,
    hive: "up",
    machine: {
      ...{ hostname: name, platform: "linux-x64", cpu_cores: 8, gpus, disk_free_bytes: 100 * gb },
      ...{ memory_total_bytes: 64 * gb, memory_available_bytes: freeGb * gb },
    },
    models: new Set(onDisk ? [model] : []),
    ...(decode && {
      speeds: [{
        ...{ backend: "cpu", device: 0, size_class: 31, tasks: 5 },
        ...{ prefill_tokens_per_second: 4 * decode, decode_tokens_per_second: decode },
      }],
    }),
  };
}

const gpu = (freeGb: number): Gpu => ({
  ...{ backend: "cuda", index: 0, name: "a card", memory_total_bytes: 24 * gb, memory_free_bytes: freeGb * gb },
});

function worker(id: string, on: string, more: Partial<WorkerView> = {}): WorkerView {
  return {
    ...{ id, node: on, model, backend: "cpu", device: 0, state: "idle", slotsTotal: 2, slotsHeld: 0, ctx: 4_096 },
    ...{ refuses: false, suspect: false },
    ...more,
  };
}

const demand = { model };
const whereOf = (p: Placement) => p.kind === "reuse" ? p.worker : "node" in p ? p.node : p.kind;
const job = { promptTokens: 2_000, answerTokens: 50 };

Deno.test("a faster machine is taken, for a worker that is there and for a new one", () => {
  const nodes = [node("slow", { decode: 5 }), node("fast", { decode: 20 })];
  strictEqual(whereOf(place(demand, knownOf({ nodes, facts: [facts] }))), "fast");
  const workers = [worker("a", "slow"), worker("b", "fast")];
  strictEqual(whereOf(place(demand, knownOf({ nodes, workers, facts: [facts] }))), "b");
});

Deno.test("a fast machine with a busy slot still beats a slow one that is four times slower", () => {
  const nodes = [node("slow", { decode: 5 }), node("fast", { decode: 20 })];
  const workers = [worker("a", "slow"), worker("b", "fast", { state: "busy", slotsHeld: 1 })];
  strictEqual(whereOf(place(demand, knownOf({ nodes, workers, facts: [facts] }))), "b");
});

Deno.test("the worker that has seen the prompt's beginning is taken, and it is said", () => {
  const nodes = [node("one", { decode: 10 }), node("two", { decode: 10 })];
  const workers = [worker("a", "one"), worker("b", "two")];
  const blocks = [1, 2, 3, 4];
  const placed = place(demand, knownOf({ nodes, workers, facts: [facts], seen: { b: blocks } }), { ...job, blocks });
  strictEqual(whereOf(placed), "b");
  ok(placed.reasons[0].includes("has seen the prompt's beginning"), placed.reasons[0]);
});

Deno.test("a machine that has the model beats one that must fetch it, unless the latter is much faster", () => {
  const has = node("has", { decode: 10 });
  const nodes = (decode: number) => [has, node("lacks", { decode, onDisk: false })];
  strictEqual(whereOf(place(demand, knownOf({ nodes: nodes(10), facts: [facts] }))), "has");
  // 4 GB at 20 MB/s are 200 s: worth it when the answer takes longer.
  const long = { promptTokens: 64, answerTokens: 256 * 32 };
  const placed = place(demand, knownOf({ nodes: nodes(40), facts: [facts] }), long);
  deepStrictEqual([placed.kind, whereOf(placed)], ["fetch", "lacks"]);
});

Deno.test("equals share by chance, and the same chance gives the same answer", () => {
  const nodes = ["a", "b", "c", "d"].map((name) => node(name));
  const at = (tie: number) => whereOf(place(demand, knownOf({ nodes, facts: [facts], tie })));
  deepStrictEqual([0, 0.3, 0.6, 0.9].map(at), ["a", "b", "c", "d"]);
});

Deno.test("without --node a busy worker is waited for when that is expected to be quicker than a new one elsewhere", () => {
  const nodes = [node("one", { decode: 10 }), node("two", { decode: 10 })];
  const soon = worker("a", "one", { state: "busy", slotsTotal: 1, slotsHeld: 1, freeAt: 2_000 });
  const waits = place(demand, knownOf({ nodes, workers: [soon], facts: [facts] }), job);
  strictEqual(waits.kind, "await-slot");
  ok(waits.reasons.some((r) => r.startsWith("a new worker on two is expected to answer in")), waits.reasons.join());
  const late = { ...soon, freeAt: 600_000 };
  strictEqual(whereOf(place(demand, knownOf({ nodes, workers: [late], facts: [facts] }), job)), "two");
  // Twenty more before it wait as well.
  const queued = { ...job, ahead: 20 };
  strictEqual(whereOf(place(demand, knownOf({ nodes, workers: [soon], facts: [facts] }), queued)), "two");
});

Deno.test("a GPU is preferred; one that is too small takes a part of the layers; the CPU needs no idle worker to end", () => {
  const on = (freeGb: number) =>
    place(demand, knownOf({ nodes: [node("box", { gpus: [gpu(freeGb)] })], facts: [facts] }));
  const whole = on(20);
  ok(whole.kind === "spawn" && whole.takes?.backend === "cuda" && whole.takes.host < 2 * gb);
  const part = on(4);
  ok(part.kind === "spawn" && part.takes?.backend === "cuda" && part.takes.host > gb && part.takes.device <= 4 * gb);
  const none = on(0.2);
  ok(none.kind === "spawn" && none.takes?.backend === "cpu");
});

Deno.test("room on a GPU is made by the idle workers of that GPU, and it is then the one that is named", () => {
  const nodes = [node("box", { gpus: [gpu(1)], freeGb: 32 })];
  const idle = worker("old", "box", { ...{ model: "hf:org/other:Q8_0", backend: "cuda" } });
  const memory = { host: gb, device: 20 * gb, unseen: { host: 0, device: 0 } };
  const placed = place({ model, backend: "cuda" }, knownOf({ nodes, workers: [{ ...idle, memory }], facts: [facts] }));
  ok(placed.kind === "spawn");
  deepStrictEqual([placed.evicts, placed.backend], [["old"], "cuda"]);
});

Deno.test("of idle workers the least recently used goes first, one that is kept last, and one that somebody is about to take never", () => {
  const nodes = [node("box", { freeGb: 1 })];
  const held = { memory: { host: 20 * gb, device: 0, unseen: { host: 0, device: 0 } }, model: "hf:org/other:Q8_0" };
  const workers = [
    worker("kept", "box", { ...held, lastUsed: 1, keepS: 0 }),
    worker("newer", "box", { ...held, lastUsed: 3 }),
    worker("older", "box", { ...held, lastUsed: 2 }),
  ];
  const evicts = (wanted: string[]) => {
    const placed = place(demand, knownOf({ nodes, workers, facts: [facts], wanted }));
    return placed.kind === "spawn" ? placed.evicts : placed.kind;
  };
  deepStrictEqual(evicts([]), ["older"]);
  deepStrictEqual(evicts(["older"]), ["newer"]);
  deepStrictEqual(evicts(["older", "newer"]), ["kept"]);
});

Deno.test("a machine named alone that has the file is asked even when its memory looked short: it reads it afresh", () => {
  const nodes = [node("box", { freeGb: 1 }), node("other")];
  const placed = place({ model, node: "box" }, knownOf({ nodes, facts: [facts] }));
  ok(
    placed.kind === "spawn" && placed.evicts.length === 0 && placed.reasons.at(-1)!.includes("reads its memory afresh"),
  );
  const absent = [node("box", { freeGb: 1, onDisk: false }), node("other")];
  const refused = place({ model, node: "box" }, knownOf({ nodes: absent, facts: [facts] }));
  ok(refused.kind === "refuse" && refused.error.code === "VRAM_EXHAUSTED");
  ok(Number(refused.error.details.required) > 4_000 && refused.error.details.available === 1_024);
});

Deno.test("what is fetched comes from a machine that has it", () => {
  const nodes = [node("box", { onDisk: false }), node("other", { freeGb: 1 })];
  const placed = place(demand, knownOf({ nodes, facts: [facts] }));
  ok(placed.kind === "fetch" && placed.from === "other" && placed.node === "box");
});

Deno.test("a device without memory of its own takes from the machine's, and that counts once", () => {
  const metal = (freeGb: number): NodeView => {
    const apple = node("mac", { freeGb });
    const shared = { memory_total_bytes: 64 * gb, memory_free_bytes: freeGb * gb };
    return { ...apple, machine: { ...apple.machine!, gpus: [{ backend: "metal", index: 0, name: "M1", ...shared }] } };
  };
  const on = (freeGb: number, workers: WorkerView[] = []) =>
    place({ model, backend: "metal" }, knownOf({ nodes: [metal(freeGb), node("box")], workers, facts: [facts] }));
  const roomy = on(7);
  ok(roomy.kind === "spawn" && roomy.takes!.host + roomy.takes!.device <= 7 * gb);
  const memory = { host: gb, device: 5 * gb, unseen: { host: 0, device: 0 } };
  const idle = worker("old", "mac", { model: "hf:org/other:Q8_0", backend: "metal", memory });
  const evicting = on(0.5, [idle]);
  deepStrictEqual(evicting.kind === "spawn" && evicting.evicts, ["old"]);
});

Deno.test("slots and context that a machine's configuration gives a worker count in what it takes", () => {
  const roomy = node("box", { freeGb: 8 });
  const takes = (defaults?: NodeView["defaults"], ctx?: number) => {
    const placed = place({ ...demand, ctx }, knownOf({ nodes: [{ ...roomy, defaults }], facts: [facts] }));
    return placed.kind === "spawn" ? placed.takes?.host ?? 0 : 0;
  };
  ok(takes({ slots: 4, ctx: 4_096 }) > takes({ slots: 4, ctx: 512 }));
  ok(takes({ slots: 4, ctx: 4_096 }) > takes({ slots: 1, ctx: 4_096 }));
  strictEqual(takes({ slots: 4, ctx: 4_096 }, 512), takes({ slots: 4, ctx: 512 }));
  strictEqual(takes({ slots: 16, ctx: 4_096 }), 0); // more than the 8 GB that are free
});

Deno.test("a machine that could not be had the last time is not counted among those to choose from", () => {
  const off: NodeView = { name: "off", hive: "down", error: "connection refused" };
  const placed = place(demand, knownOf({ nodes: [node("box"), off], facts: [facts] }));
  strictEqual(whereOf(placed), "box");
  ok(!placed.reasons.some((reason) => reason.includes("the best of")), placed.reasons.join());
});
