import assert from "node:assert/strict";
import type { HiveStatus } from "../protocol/hive_status.ts";
import { type ParsedEvent, parseText } from "../protocol/sse.ts";
import { Events } from "./events.ts";

const machine = {
  hostname: "h",
  platform: "p",
  cpu_cores: 1,
  memory_total_bytes: 1,
  memory_available_bytes: 1,
  gpus: [],
};

function collect() {
  let text = "";
  const gone = new AbortController();
  const write = (piece: string | Uint8Array) => {
    text += piece;
    return Promise.resolve();
  };
  return {
    out: { signal: gone.signal, write },
    events: (): ParsedEvent[] => parseText(text),
    leave: () => gone.abort(),
  };
}

const settle = (ms = 120) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("a reader gets the picture at once, many changes as one, and why a worker went before the picture without it", async () => {
  let version = 0;
  const events = new Events(() => Promise.resolve<HiveStatus>({ version: String(version), machine, workers: [] }));
  const reader = collect();
  const done = events.serve(reader.out);
  await settle(10);
  assert.deepEqual(reader.events().map((e) => e.event), ["status"]);
  for (version = 1; version < 20; version++) events.changed();
  await settle();
  assert.deepEqual(reader.events().map((e) => e.event), ["status", "status"]);
  assert.equal(JSON.parse(reader.events()[1].data).version, "20");
  events.gone({ worker_id: "worker-1", reason: "idle" });
  await settle();
  assert.deepEqual(reader.events().slice(2).map((e) => e.event), ["worker-gone", "status"]);
  events.close();
  await done;
});

Deno.test("a reader that left is forgotten at once", async () => {
  const events = new Events(() => Promise.resolve<HiveStatus>({ version: "1", machine, workers: [] }));
  const reader = collect();
  const done = events.serve(reader.out);
  await settle();
  reader.leave();
  await done;
});

Deno.test("a reader that reads nothing is cut instead of filling the memory", async () => {
  const events = new Events(() => Promise.resolve<HiveStatus>({ version: "1", machine, workers: [] }));
  const stuck = Promise.withResolvers<void>();
  const signal = new AbortController().signal;
  const done = events.serve({ signal, write: () => stuck.promise });
  for (let n = 0; n < 1_001; n++) events.narrate({ actor: "rbee-hive", action: "a", target: "t", human: "h" });
  stuck.resolve();
  await assert.rejects(done, /lost/);
});
