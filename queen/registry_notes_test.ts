import assert from "node:assert/strict";
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import type { NodeRegistry } from "./nodes.ts";
import { RegistryNotes } from "./registry_notes.ts";
import { noLog } from "./testdata/stand_in.ts";

const machine = {
  ...{ hostname: "box", platform: "linux-x64", cpu_cores: 2, memory_total_bytes: 1, memory_available_bytes: 1 },
  gpus: [],
};

function bench(fails = false) {
  const written: string[] = [];
  const write = (what: string) => (node: string) => {
    if (fails) throw new Error("the disk is full");
    written.push(`${node} ${what}`);
  };
  const registry = {
    noteReachable: write("reachable"),
    noteUnreachable: write("unreachable"),
    noteWithoutHive: write("without hive"),
  } as unknown as NodeRegistry;
  const notes = new RegistryNotes({ registry, log: noLog, hiveUrl: () => "http://127.0.0.1:9200" });
  const failed = (node: string, code: ErrorCode) =>
    notes.take({ type: "hiveFailed", node, error: new RbeeError(code) });
  const status = (node: string) =>
    notes.take({ type: "hiveStatus", node, status: { version: "0.1.0", machine, workers: [] } });
  return { written, notes, failed, status };
}

Deno.test("nothing is written in the moment itself; what waits is written when the queen ends, the last word of each node", () => {
  const { written, notes, failed, status } = bench();
  status("a");
  failed("b", "CONNECTION_TIMEOUT");
  failed("c", "NODE_NOT_INSTALLED");
  failed("d", "CONNECTION_TIMEOUT");
  status("d");
  assert.deepEqual(written, []);
  notes.flush();
  assert.deepEqual(written, ["a reachable", "b unreachable", "c without hive", "d reachable"]);
  notes.flush();
  assert.equal(written.length, 4);
});

Deno.test("a connection is noted once, and again after it was lost", () => {
  const { written, notes, failed, status } = bench();
  status("a");
  notes.flush();
  status("a");
  notes.flush();
  failed("a", "CONNECTION_LOST");
  notes.flush();
  status("a");
  notes.flush();
  assert.deepEqual(written, ["a reachable", "a unreachable", "a reachable"]);
});

Deno.test("a hive that was had anew is noted again", () => {
  const { written, notes, status } = bench();
  for (const type of ["hiveConnected", "nodeRemoved"] as const) {
    status("a");
    const error = new RbeeError("NODE_UNREACHABLE");
    notes.take(type === "hiveConnected" ? { type, node: "a" } : { type, node: "a", error });
    notes.flush();
  }
  status("a");
  notes.flush();
  assert.equal(written.length, 3);
});

Deno.test("a registry that cannot be written stops nothing", () => {
  const { notes, status } = bench(true);
  status("a");
  notes.flush();
});
