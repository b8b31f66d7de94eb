import assert from "node:assert/strict";
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import type { Manifest } from "../runtime/shipped.ts";
import type { NodeFacts, NodeFile } from "./install_facts.ts";
import { planInstall } from "./install_plan.ts";

const mb = 1024 * 1024;
const entry = (letter: string, sizeMb: number, backend = "cpu") => ({
  sha256: letter.repeat(64),
  size: sizeMb * mb,
  backend,
});
const manifest: Manifest = {
  version: "0.1.0",
  platform: "linux-x64",
  backend: "cpu",
  files: {
    "rbee-keeper": entry("1", 90),
    "queen-rbee": entry("2", 90),
    "rbee-hive": entry("3", 100),
    "llm-worker-rbee": entry("4", 120),
    "llm-worker-rbee-cuda": entry("5", 670, "cuda"),
  },
};
const facts: NodeFacts = {
  platform: "linux-x64",
  libc: "glibc 2.36",
  gpu: "none",
  prefix: "/home/me/rbee",
  home: "/home/me",
  hostname: "box",
  diskFreeMb: 100_000,
  tools: ["sha256sum", "gzip"],
  hasService: false,
  running: [],
  files: [],
  incoming: [],
};
const wish = { node: "box", version: "0.1.0" };
const file = (name: string): NodeFile => ({
  name,
  sha256: manifest.files[name].sha256,
  size: manifest.files[name].size,
});
const names = (files: readonly NodeFile[]) => files.map(({ name }) => name);

function refusal(run: () => unknown): RbeeError {
  try {
    run();
  } catch (error) {
    if (error instanceof RbeeError) return error;
  }
  throw new Error("it was not refused");
}

Deno.test("a node gets hive, worker and its GPU's worker, and nothing else", () => {
  const plain = planInstall(facts, manifest, wish);
  assert.deepEqual([plain.backend, plain.isDone, plain.version], ["cpu", false, "0.1.0"]);
  assert.deepEqual(names(plain.send), ["rbee-hive", "llm-worker-rbee"]);
  const cuda = planInstall({ ...facts, gpu: "cuda" }, manifest, wish);
  assert.deepEqual(names(cuda.files), ["rbee-hive", "llm-worker-rbee", "llm-worker-rbee-cuda"]);
  const wanted = planInstall({ ...facts, gpu: "cuda" }, manifest, { ...wish, backend: "cpu" });
  assert.deepEqual(names(wanted.files), ["rbee-hive", "llm-worker-rbee"]);
  const mac = { ...facts, platform: "macos-arm64", libc: "none", gpu: "metal" as const };
  const metal = planInstall(mac, { ...manifest, platform: "macos-arm64" }, wish);
  assert.deepEqual([metal.backend, names(metal.files)], ["metal", ["rbee-hive", "llm-worker-rbee"]]);
});

Deno.test("only what differs is sent; what came whole before is used", () => {
  const half = { ...facts, files: [file("rbee-hive")], incoming: [file("llm-worker-rbee")] };
  const plan = planInstall(half, manifest, wish);
  assert.deepEqual([names(plan.send), plan.isDone], [[], false]);
  const other = { ...half, files: [{ ...file("rbee-hive"), sha256: "0".repeat(64) }] };
  assert.deepEqual(names(planInstall(other, manifest, wish).send), ["rbee-hive"]);
  const done = { ...facts, current: "0.1.0", files: [file("llm-worker-rbee"), file("rbee-hive")] };
  assert.equal(planInstall(done, manifest, wish).isDone, true);
  assert.equal(planInstall({ ...done, current: "0.0.9" }, manifest, wish).isDone, false);
  const more = { ...done, files: [...done.files, { ...file("llm-worker-rbee-cuda"), sha256: "0".repeat(64) }] };
  assert.equal(planInstall(more, manifest, wish).isDone, false, "a hive would start the old variant");
});

Deno.test("what can't be is refused before anything is sent, with the line that helps", () => {
  const cases: [ErrorCode, Partial<NodeFacts>, Partial<typeof wish> & { backend?: "cuda" | "metal" }, RegExp][] = [
    ["PLATFORM_NOT_AVAILABLE", { platform: "linux-arm64" }, {}, /install --node box --from-source/],
    ["PLATFORM_NOT_AVAILABLE", { platform: "macos-arm64", libc: "none" }, {}, /--git-repo/],
    ["PLATFORM_NOT_AVAILABLE", { libc: "musl" }, {}, /glibc/],
    ["PLATFORM_NOT_AVAILABLE", { libc: "none" }, {}, /glibc/],
    ["EXECUTABLES_NOT_FOUND", {}, { version: "0.2.0" }, /deno task compile/],
    ["EXECUTABLES_NOT_FOUND", { gpu: "vulkan" }, {}, /deno task compile --backend vulkan; .*--backend cpu/],
    ["BACKEND_UNAVAILABLE", {}, { backend: "metal" }, /available/],
    ["INSTALL_PATH_NOT_WRITABLE", { notWritable: "me may not write to /" }, {}, /--install-path/],
    ["INSTALL_FAILED", { tools: ["gzip", "git"] }, {}, /Install one/],
    ["INSTALL_FAILED", { foreign: "/home/me/my rbee/current" }, {}, /: mv '\/home\/me\/my rbee\/current' '\/home/],
    ["INSUFFICIENT_DISK", { diskFreeMb: 403 }, {}, /--install-path/],
  ];
  for (const [code, more, other, hint] of cases) {
    const error = refusal(() => planInstall({ ...facts, ...more }, manifest, { ...wish, ...other }));
    assert.equal(error.code, code, error.message);
    assert.match(error.hint, hint);
  }
  const { details } = refusal(() => planInstall({ ...facts, gpu: "vulkan" }, manifest, wish));
  assert.deepEqual(details, { node: "box", backend: "vulkan", platform: "linux-x64" });
  assert.ok(planInstall({ ...facts, diskFreeMb: 404 }, manifest, wish), "100 + 2 × 120 + 64 MB are enough");
});

Deno.test("a node that has everything is fine without space and without the right to write", () => {
  const full = { ...facts, current: "0.1.0", files: [file("rbee-hive"), file("llm-worker-rbee")], diskFreeMb: 0 };
  assert.equal(planInstall({ ...full, notWritable: "read-only" }, manifest, wish).isDone, true);
});
