import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { Hives } from "./hives.ts";
import { Outbox } from "./outbox.ts";

function bench() {
  const out = new Outbox();
  const hives = new Hives(["box"], out, () => 0);
  const effects = () => out.take().map((effect) => effect.type);
  return { hives, effects, view: () => hives.views()[0] };
}

const machine = {
  ...{ hostname: "box", platform: "linux-x64", cpu_cores: 2, memory_total_bytes: 1, memory_available_bytes: 1 },
  gpus: [],
};
const lost = new RbeeError("CONNECTION_LOST", { message: "Cannot go on: it is gone" });

Deno.test("a hive that is lost is tried again by itself", () => {
  const { hives, effects, view } = bench();
  hives.want("box");
  hives.connected("box", { version: "0.1.0", machine, workers: [] });
  effects();
  hives.gone("box", lost);
  deepStrictEqual([effects(), view().hive, view().error], [["setTimer"], "down", lost.message]);
});

Deno.test("a hive that was ended on purpose is down without an error, and nothing asks for it by itself", () => {
  const { hives, effects, view } = bench();
  hives.want("box");
  hives.connected("box", { version: "0.1.0", machine, workers: [] });
  effects();
  hives.released("box");
  strictEqual(effects().includes("setTimer"), false);
  deepStrictEqual([view().hive, view().error], ["down", undefined]);
  hives.want("box");
  deepStrictEqual(effects(), ["ensureHive", "setTimer"]);
});

Deno.test("ending a hive on purpose also ends the attempts to get back one that was lost", () => {
  const { hives, effects, view } = bench();
  hives.want("box");
  hives.gone("box", lost);
  effects();
  hives.released("box");
  deepStrictEqual([effects(), view().error], [["clearTimer"], undefined]);
  hives.released("nobody knows it");
});
