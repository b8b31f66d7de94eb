import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Known, NodeView, SpawnView, WorkerView } from "./known.ts";
import { place, whyNot } from "./placement.ts";
import { fitOn, isRefusal, Question } from "./placement_filters.ts";
import { type KnownLists, knownOf } from "./testdata/known.ts";

const local: NodeView = { name: "local", hive: "up" };
const other: NodeView = { name: "workstation", hive: "up" };
const demand = { model: "builtin:tiny" };

function worker(more: Partial<WorkerView> = {}): WorkerView {
  return {
    id: "worker-a",
    node: "local",
    model: "builtin:tiny",
    backend: "cpu",
    device: 0,
    state: "idle",
    slotsTotal: 1,
    slotsHeld: 0,
    ctx: 2048,
    refuses: false,
    suspect: false,
    ...more,
  };
}

function known(more: KnownLists = {}): Known {
  return knownOf({ nodes: [local], ...more });
}

Deno.test("a matching idle worker is used again, whatever else could be started (S10)", () => {
  const found = place(demand, known({ nodes: [local, other], workers: [worker()] }));
  strictEqual(found.kind, "reuse");
  ok(found.reasons.length > 0);
});

Deno.test("with an empty list of workers one is started (S09)", () => {
  const found = place(demand, known());
  deepStrictEqual(found.kind === "spawn" && found.node, "local");
});

Deno.test("a matching busy worker on the named node is waited for, and no second one is started (S11)", () => {
  const busy = worker({ state: "busy", slotsHeld: 1 });
  const found = place({ ...demand, node: "local" }, known({ nodes: [local, other], workers: [busy] }));
  strictEqual(found.kind, "await-slot");
});

Deno.test("a busy worker of the only machine is waited for without --node as well", () => {
  const found = place(demand, known({ workers: [worker({ refuses: true, slotsTotal: 3 })] }));
  deepStrictEqual(found.kind === "await-slot" && [found.slotsTotal, found.workers], [3, ["worker-a"]]);
});

Deno.test("without --node a free machine is used rather than a busy worker waited for", () => {
  const busy = worker({ state: "busy", slotsHeld: 1 });
  const found = place(demand, known({ nodes: [local, other], workers: [busy] }));
  strictEqual(found.kind === "spawn" && found.node, "workstation");
});

Deno.test("of several free workers the one with the fewest held slots is taken", () => {
  const workers = [worker({ id: "a", slotsTotal: 4, slotsHeld: 2 }), worker({ id: "b", slotsTotal: 4, slotsHeld: 1 })];
  const found = place(demand, known({ workers }));
  strictEqual(found.kind === "reuse" && found.worker, "b");
});

Deno.test("a worker that loads is waited for, and so is one that is on its way", () => {
  strictEqual(place(demand, known({ workers: [worker({ state: "loading" })] })).kind, "await-loading");
  const spawn: SpawnView = { id: "spawn-1", node: "local", demand };
  strictEqual(place({ ...demand, backend: "cpu" }, known({ spawns: [spawn] })).kind, "await-spawn");
  const cuda: SpawnView = { ...spawn, demand: { ...demand, backend: "cuda" } };
  strictEqual(place({ ...demand, backend: "cpu" }, known({ spawns: [cuda] })).kind, "spawn");
});

Deno.test("a worker matches only with its model, backend, device, node and context", () => {
  strictEqual(whyNot(demand, worker()), undefined);
  strictEqual(whyNot({ model: "file:/m.gguf" }, worker()), "it holds another model");
  strictEqual(whyNot({ ...demand, backend: "cuda" }, worker()), "its backend is cpu");
  strictEqual(whyNot({ ...demand, device: 1 }, worker()), "its device is 0");
  strictEqual(whyNot({ ...demand, node: "workstation" }, worker()), "it is on local");
  strictEqual(whyNot({ ...demand, ctx: 4096 }, worker()), "its context is 2048 tokens");
  strictEqual(whyNot(demand, worker({ state: "draining" })), "it is draining");
  strictEqual(whyNot(demand, worker({ suspect: true })), "it broke a stream a moment ago");
});

Deno.test("a worker that was asked for this context and has less serves: its model cannot do more", () => {
  strictEqual(whyNot({ ...demand, ctx: 4096 }, worker({ ctxAsked: 4096 })), undefined);
});

Deno.test("an unknown node is refused by name, and no node at all is said so", () => {
  const unknown = place({ ...demand, node: "nowhere" }, known());
  strictEqual(unknown.kind === "refuse" && unknown.error.code, "NODE_NOT_FOUND");
  const none = place(demand, known({ nodes: [] }));
  strictEqual(none.kind === "refuse" && none.error.code, "NO_NODE");
});

Deno.test("a node whose machine lacks the backend is out of the question, one whose hive is up comes first", () => {
  const machine = {
    hostname: "a",
    platform: "linux-x64",
    cpu_cores: 2,
    memory_total_bytes: 1,
    memory_available_bytes: 1,
    gpus: [],
  };
  const nodes: NodeView[] = [{ ...local, machine }, { name: "workstation", hive: "down" }];
  const cuda = place({ ...demand, backend: "cuda" }, known({ nodes }));
  strictEqual(cuda.kind === "start-hive" && cuda.node, "workstation");
  const any = place(demand, known({ nodes: nodes.toReversed() }));
  strictEqual(any.kind === "spawn" && any.node, "local");
});

Deno.test("a GPU without a worker program for it is taken by nobody who did not name it", () => {
  const gpu = { index: 0, name: "RTX 3060", memory_total_bytes: 12e9, memory_free_bytes: 12e9 };
  const machine = {
    ...{ hostname: "box", platform: "linux-x64", cpu_cores: 8 },
    ...{ memory_total_bytes: 32e9, memory_available_bytes: 30e9 },
    gpus: [{ ...gpu, backend: "cuda" as const }, { ...gpu, backend: "vulkan" as const }],
  };
  const node: NodeView = { name: "local", hive: "up", machine };
  const backendOf = (installed: NodeView["installed"], backend?: "cuda") => {
    const fit = fitOn(
      { ...node, installed },
      new Question({ ...demand, backend }, { promptTokens: 1, answerTokens: 1 }, known()),
    );
    return isRefusal(fit) ? fit.code : fit.backend;
  };
  strictEqual(backendOf(undefined), "cuda");
  strictEqual(backendOf(["cpu", "vulkan"]), "vulkan");
  strictEqual(backendOf(["cpu"]), "cpu");
  strictEqual(backendOf(["cpu"], "cuda"), "cuda");
});

Deno.test("a model that was imported is looked for where it was imported", () => {
  const imported = { model: "import:ollama/llama3:8b" };
  const has = { ...other, models: new Set([imported.model]) };
  const hasNot = { ...local, models: new Set<string>() };
  const found = place(imported, known({ nodes: [hasNot, has] }));
  strictEqual(found.kind === "spawn" && found.node, "workstation");
  const nowhere = place({ ...imported, node: "local" }, known({ nodes: [hasNot, has] }));
  strictEqual(nowhere.kind === "refuse" && nowhere.error.code, "MODEL_NOT_FOUND");
});
