import assert from "node:assert/strict";
import { fromFileUrl, join } from "../../runtime/path.ts";
import { newTemporaryFolder, removeFolder } from "./temporary.ts";

const feature = `
Feature: Features that prove the runner
  Background:
    Given a counter

  @S01
  Scenario: A good one
    When 2 are added
    Then the counter is 2

  @S02
  Scenario: A wrong one
    When 2 are added
    Then the counter is 3

  @S03
  Scenario: One with a step that nobody defined
    Then the moon is full

  @S04
  Scenario: One with a step that two define
    Then it is ambiguous

  @S05 @never
  Scenario: One that needs what is not there
    When 2 are added

  @S06 @never
  Scenario: One that could never run
    Then the moon is full

  @S07
  Scenario Outline: One with examples and a table
    When <n> are added
    Then the table sums up to the counter
      | a | b   |
      | 1 | <b> |
    Examples:
      | n | b |
      | 3 | 2 |
      | 5 | 4 |
`;

const module = (gherkin: string) => `
import assert from "node:assert/strict";
import { Suite, Table } from "${gherkin}";
const suite = new Suite<{ n: number }>({
  create: () => Promise.resolve({ n: 0 }),
  dispose: () => Promise.resolve(),
  needs: [{ tag: "@never", isMet: () => false, why: "needs a unicorn", line: "deno task unicorn" }],
});
suite.step("a counter", function () { this.n = 0; });
suite.step("{int} are added", function (n: number) { this.n += n; });
suite.step("the counter is {int}", function (n: number) { assert.equal(this.n, n); });
suite.step("it is ambiguous", function () {});
suite.step(/it is .*/, function () {});
suite.step("the table sums up to the counter", function (table: Table) {
  const [row] = table.hashes();
  assert.equal(Number(row.a) + Number(row.b), this.n);
});
suite.feature(new URL("./x.feature", import.meta.url));
`;

Deno.test("scenarios become tests, and only what ran and held is passed", async (t) => {
  const folder = newTemporaryFolder();
  try {
    Deno.writeTextFileSync(join(folder, "x.feature"), feature);
    Deno.writeTextFileSync(join(folder, "x_test.ts"), module(new URL("./gherkin.ts", import.meta.url).href));
    const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
    const output = new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--config", config, join(folder, "x_test.ts")],
      env: { NO_COLOR: "1" },
    }).outputSync();
    const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
    const result = (number: string) =>
      [...text.matchAll(new RegExp(`^${number} .* (ok|FAILED|ignored) \\(`, "gm"))].map((m) => m[1]).join();
    await t.step("a good scenario passes, a wrong one fails", () => {
      assert.equal(result("S01"), "ok", text);
      assert.equal(result("S02"), "FAILED", text);
    });
    await t.step("an undefined and an ambiguous step fail with their line", () => {
      assert.equal(result("S03"), "FAILED", text);
      assert.match(text, /undefined step at x\.feature:18: the moon is full/);
      assert.equal(result("S04"), "FAILED", text);
      assert.match(text, /ambiguous step at x\.feature:22/);
    });
    await t.step("what cannot run is ignored and says so with the line to type", () => {
      assert.match(text, /^S05 .*\[not run: needs a unicorn; where there is one: deno task unicorn\] \.\.\. ignored/m);
    });
    await t.step("what cannot run and lacks a step fails", () => assert.equal(result("S06"), "FAILED", text));
    await t.step("each example is a test of its own, tables arrive", () => assert.equal(result("S07"), "ok,ok", text));
    await t.step("the run as a whole fails", () => assert.notEqual(output.code, 0));
  } finally {
    removeFolder(folder);
  }
});
