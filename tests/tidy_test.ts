import assert from "node:assert/strict";
import { fromRoot } from "../build/files.ts";
import { bannedCalls, bannedWords } from "./tidy/bans.ts";
import { FLOORS, importCircles, wrongFloorTable, wrongImports } from "./tidy/floors.ts";
import { standingTags, stepBodies, wrongScenarios } from "./tidy/scenarios.ts";
import { isTest, type SourceFile, sourceOf, textFiles, withoutComments } from "./tidy/sources.ts";

const LINES_MAX = 300;

/** Files that may be longer, each with the day it was allowed and why. */
const LONG_FILES: Readonly<Record<string, string>> = {};

const files = await textFiles();
const sources = files.filter(({ path }) => path.endsWith(".ts"));

function holds(problems: readonly string[]): void {
  assert.equal(problems.length, 0, `\n${problems.join("\n")}`);
}

Deno.test("imports go down the floors only, and each door of native is opened by its owner", () => {
  holds(sources.flatMap(wrongImports));
});

Deno.test("no files import each other in a circle", () => {
  holds(importCircles(sources));
});

Deno.test("calls that belong to one place are made there only", () => {
  holds(sources.flatMap(bannedCalls));
});

Deno.test("no committed file holds an open end, a path of one machine or a registry's host", () => {
  holds(files.flatMap(bannedWords));
});

Deno.test("no source file is longer than a reader's patience", () => {
  const long = sources.filter(({ path, text }) => !isTest(path) && !(path in LONG_FILES) && lines(text) > LINES_MAX);
  holds(long.map(({ path, text }) => `${path}: ${lines(text)} lines, at most ${LINES_MAX}: split it by question`));
  const known = new Set(sources.map(({ path }) => path));
  holds(
    Object.keys(LONG_FILES).filter((path) => !known.has(path)).map((path) => `${path} is gone: drop its exception`),
  );
});

Deno.test("the members of the workspace are those of the floors", async () => {
  const { workspace } = JSON.parse(await Deno.readTextFile(fromRoot("deno.json")));
  assert.deepEqual(workspace.map((path: string) => path.slice(2)).sort(), Object.keys(FLOORS).sort());
});

Deno.test("README draws every member on its floor", async () => {
  holds(wrongFloorTable(await Deno.readTextFile(fromRoot("README.md"))));
});

Deno.test("README has one line for each scenario that stands, in their order", async () => {
  const readme = await Deno.readTextFile(fromRoot("README.md"));
  const lines = [...readme.matchAll(/^\| (S\d\d) \| \S/gm)].map(([, number]) => `@${number}`);
  assert.deepEqual(lines, standingTags());
});

Deno.test("every scenario that stands starts an executable and has a Then that asserts", () => {
  const features = files.filter(({ path }) => path.startsWith("tests/features/") && path.endsWith(".feature"));
  holds(wrongScenarios(features, sources.filter(({ path }) => path.startsWith("tests/features/"))));
});

Deno.test("the rule on imports sees each wrong arrow", () => {
  const wrong: [string, string][] = [
    ["protocol/a.ts", 'import { b } from "../runtime/b.ts";'],
    ["queen/a.ts", 'import { b } from "../hive/b.ts";'],
    ["queen/a.ts", 'import { b } from "../native/libc.ts";'],
    ["hive/a.ts", 'export * from "../native/llama.ts";'],
    ["runtime/a.ts", 'const b = await import("../build/b.ts");'],
    ["worker/a.ts", 'import { getLlama } from "node-llama-cpp";'],
    ["protocol/a.ts", 'import { readFile } from "node:fs";'],
    ["queen/placement.ts", 'import { sleep } from "../runtime/call.ts";'],
    ["keeper/a.ts", 'import chalk from "npm:chalk";'],
  ];
  for (const [path, text] of wrong) assert.equal(wrongImports(sourceOf(path, text)).length, 1, `${path}: ${text}`);
  const right: [string, string][] = [
    ["hive/a.ts", 'import { detectGpus } from "../native/gpu.ts";'],
    ["queen/placement.ts", 'import type { Node } from "../protocol/node.ts";'],
    ["queen/a_test.ts", 'import { World } from "../tests/support/world.ts";'],
    ["queen/a.ts", '// import { b } from "../hive/b.ts";'],
  ];
  for (const [path, text] of right) assert.deepEqual(wrongImports(sourceOf(path, text)), []);
});

Deno.test("the rule on calls sees each banned call and lets its one place be", () => {
  const calls: [string, string][] = [
    ["hive/a.ts", "new Deno.Command(exe)"],
    ["queen/a.ts", "await fetch(url)"],
    ["worker/a.ts", 'Deno.env.get("HOME")'],
    ["hive/a.ts", "console.log(1)"],
    ["runtime/a.ts", 'Deno.dlopen("x", {})'],
    ["keeper/a.ts", 'call("/v2/tasks")'],
    ["queen/relay.ts", "write(`data: ${text}`)"],
    ["queen/scheduler.ts", "const at = Date.now()"],
    ["hive/a.ts", "setTimeout(stop, 5000)"],
  ];
  for (const [path, text] of calls) assert.equal(bannedCalls(sourceOf(path, text)).length, 1, `${path}: ${text}`);
  assert.deepEqual(bannedCalls(sourceOf("runtime/call.ts", "await fetch(url)")), []);
  assert.deepEqual(bannedCalls(sourceOf("queen/a_test.ts", "await fetch(url)")), []);
  assert.deepEqual(bannedCalls(sourceOf("queen/a.ts", "// fetch(url) would have no deadline")), []);
});

Deno.test("the rule on words sees open ends, machine paths and registry hosts", () => {
  const words = [
    "// TO" + "DO later",
    'const home = "/ro' + 'ot/x"',
    "https://registry.npm" + "js.org/zod",
    "// @ts-ignore",
  ];
  for (const text of words) assert.equal(bannedWords(sourceOf("hive/a.ts", text)).length, 1, text);
  assert.deepEqual(
    bannedWords(sourceOf("hive/a.ts", "// deno-lint-ignore no-explicit-any -- the library types it so")),
    [],
  );
});

Deno.test("comments are blanked, strings and their slashes survive", () => {
  const code = withoutComments('const a = "http://x"; // gone\n/* gone\n too */ const b = 1;');
  assert.equal(code.includes("gone"), false);
  assert.ok(code.includes('"http://x"') && code.includes("const b = 1;"));
  assert.equal(code.split("\n").length, 3);
});

Deno.test("the rule on scenarios sees what is missing and what proves nothing", () => {
  const steps = 'steps.step("rbee runs {string}", async function (line) { await this.run(line); });\n' +
    'steps.step("nothing happens", function () {});\n' +
    'steps.step("it prints {int} token(s)", function (n) { assert.equal(this.tokens, n); });\n';
  assert.equal(stepBodies(steps).length, 3);
  const feature = (then: string): SourceFile[] => [
    sourceOf(
      "tests/features/a.feature",
      `Feature: a\n  @S09\n  Scenario: one\n    When rbee runs "x"\n    Then ${then}\n`,
    ),
  ];
  const definitions = [sourceOf("tests/features/steps/a.ts", steps)];
  const of09 = (then: string): string[] =>
    wrongScenarios(feature(then), definitions).filter((p) => p.startsWith("@S09"));
  assert.deepEqual(of09("it prints 3 tokens"), []);
  assert.equal(of09("nothing happens").length, 1);
  assert.equal(of09("an unknown step").length, 2);
  assert.equal(wrongScenarios(feature("it prints 3 tokens"), definitions).length, standingTags().length - 1);
  assert.equal(standingTags().length, 62);
});

Deno.test("the picture of the floors is held against the members", () => {
  assert.equal(wrongFloorTable("").length, Object.keys(FLOORS).length);
  const picture =
    "floor 5 tests, build\nfloor 4 keeper queen hive worker\nfloor 3 runtime\nfloor 2 native\nfloor 1 protocol";
  assert.deepEqual(wrongFloorTable(picture), []);
});

function lines(text: string): number {
  return text.split("\n").length - 1;
}
