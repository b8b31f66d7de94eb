import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { installLines, readFacts, scriptError } from "./install_facts.ts";

const lines = [
  "platform linux-arm64",
  "libc glibc 2.31",
  "gpu none",
  "prefix /home/me/my rbee",
  "home /home/me",
  "hostname pi",
  "disk_free_mb 1024",
  "writable no me may not write to /home",
  "current 0.1.0",
  "tools shasum git",
  "service yes",
  "running 12 /home/me/my rbee/versions/0.1.0/rbee-hive",
  `file 0.1.0 ${"a".repeat(64)} 12 rbee-hive`,
  `incoming ${"b".repeat(64)} 34 llm-worker-rbee-cuda`,
  "done inspect",
];
const text = (all: readonly string[]) => all.map((line) => `rbee-install: ${line}\n`).join("");
const fails = (run: () => unknown, words: RegExp) =>
  assert.throws(
    run,
    (error) => error instanceof RbeeError && error.code === "INSTALL_FAILED" && words.test(error.message),
  );

Deno.test("facts are read from among other lines", () => {
  const facts = readFacts(`Welcome!\r\n rbee-install: gpu cuda\n${text(lines)}bye`);
  assert.deepEqual(facts, {
    platform: "linux-arm64",
    libc: "glibc 2.31",
    gpu: "none",
    prefix: "/home/me/my rbee",
    home: "/home/me",
    hostname: "pi",
    diskFreeMb: 1024,
    notWritable: "me may not write to /home",
    current: "0.1.0",
    tools: ["shasum", "git"],
    hasService: true,
    running: ["12 /home/me/my rbee/versions/0.1.0/rbee-hive"],
    files: [{ name: "rbee-hive", sha256: "a".repeat(64), size: 12 }],
    incoming: [{ name: "llm-worker-rbee-cuda", sha256: "b".repeat(64), size: 34 }],
  });
});

Deno.test("facts that are not whole are refused, whichever line is missing or broken", () => {
  fails(() => readFacts(""), /it stopped half way/);
  for (let at = 0; at < 11; at++) fails(() => readFacts(text(lines.toSpliced(at, 1))), /it does not tell its /);
  fails(() => readFacts(text(lines.with(3, "prefix ~/rbee"))), /not absolute/);
  fails(() => readFacts(text(lines.with(12, "file 0.1.0 abc 12 rbee-hive"))), /a file's line/);
  fails(() => readFacts(text(lines.with(13, `incoming ${"b".repeat(64)} 34 ../x`))), /a file's line/);
});

Deno.test("the script's last error becomes ours, with the node in message and hint", () => {
  const said = (stdout: string, stderr = "", code = 1) => scriptError("pi", { code, stdout, stderr });
  const full = said("rbee-install: step copy\nrbee-install: error DISK_FULL Cannot write to /x: no space is left\n");
  assert.equal(full.code, "DISK_FULL");
  assert.equal(full.message, "Cannot write to /x: no space is left (on pi)");
  assert.match(full.hint, /--name pi --install-path/);
  assert.deepEqual(full.details, { node: "pi" });
  const missing = said("rbee-install: error TOOLCHAIN_MISSING Cannot build here: git is missing\n");
  assert.match(missing.hint, /rbee setup install --node pi --ship$/);
  // A node does not choose among all our codes: it could make a keeper believe anything.
  for (const other of ["INVALID_API_KEY x", "NONSENSE x", ""]) {
    assert.equal(said(`rbee-install: error ${other}\n`).code, "INSTALL_FAILED");
  }
  assert.match(said("", "sh: not found\n\x1b[31mbye\n", 127).message, /ended with 127: \[31mbye$/);
});

Deno.test("lines are a word and a rest", () => {
  assert.deepEqual(installLines("rbee-install: done\nrbee-install: note a  b\nrbee-install:x\n"), [
    ["done", ""],
    ["note", "a  b"],
  ]);
});
