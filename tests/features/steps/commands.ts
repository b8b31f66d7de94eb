/** Steps about what a person types and sees. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { eventually } from "../../support/eventually.ts";
import type { Table } from "../../support/gherkin.ts";
import { must, suite } from "./scenario.ts";

suite.step("a person runs {string}", async function (line: string) {
  await this.start(line);
  await this.ends();
});

suite.step("a person starts {string} and sees tokens", async function (line: string) {
  const command = await this.start(line);
  await command.sees(/\S[\s\S]{8,}/, { stream: "stdout", withinMs: 10_000 });
});

suite.step("a person has started {string} and sees tokens", async function (line: string) {
  const command = await this.start(line);
  await command.sees(/\S[\s\S]{8,}/, { stream: "stdout", withinMs: 10_000 });
  await this.remember();
});

suite.step("it succeeds", async function () {
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
});

suite.step("it succeeds and writes text", async function () {
  const { code, stdout, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /\S/, stderr);
});

suite.step("it succeeds, and stdout came in many pieces over time", async function () {
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
  const pieces = must(this.command, "a command").pieces.filter((p) => p.stream === "stdout");
  assert.ok(pieces.length >= 5, `${pieces.length} pieces`);
  assert.ok(pieces.at(-1)!.atMs - pieces[0].atMs > 50, "they came one after the other");
});

suite.step("it fails with exit code {int}", async function (code: number) {
  const finished = await this.ends();
  assert.equal(finished.code, code, finished.stderr);
});

suite.step("the error names the code {string}", function (code: string) {
  assert.match(must(this.finished, "an end").stderr, new RegExp(`\\b${code}\\b`));
});

suite.step("stderr holds {string}", function (text: string) {
  const { stderr } = must(this.finished, "an end");
  assert.ok(stderr.includes(text), stderr);
});

suite.step("stderr holds a suggestion to wait or to use another node", function () {
  assert.match(must(this.finished, "an end").stderr, /Suggestion: .*[Ww]ait.*another node/);
});

suite.step("stderr holds these lines in order", function (table: Table) {
  const { stderr } = must(this.finished, "an end");
  let rest = stderr;
  for (const [pattern] of table.rows) {
    const match = rest.match(new RegExp(pattern));
    assert.ok(match?.index !== undefined, `${pattern} is not (or not in this order) in:\n${stderr}`);
    rest = rest.slice(match.index + match[0].length);
  }
});

suite.step("they press Ctrl+C", function () {
  assert.ok(must(this.command, "a command").interrupt());
  this.noted.set("interruptedAt", performance.now());
});

suite.step("it ends with exit code {int} and the line {string}", async function (code: number, line: string) {
  const finished = await this.ends(5_000);
  assert.equal(finished.code, code, finished.stderr);
  assert.ok(finished.stderr.split("\n").some((l) => l.endsWith(line)), finished.stderr);
});

suite.step('within 1 second the worker is "idle" with a free slot', async function () {
  const record = await this.workerIs(["idle"], 1_000);
  assert.equal(record.slots_available, record.slots_total);
});

suite.step("the error says that the stream closed unexpectedly", function () {
  assert.match(must(this.finished, "an end").stderr, /Error: .*stream closed unexpectedly/);
});

suite.step("the tokens so far are on stdout and in the file that stderr names", function () {
  const { stdout, stderr } = must(this.finished, "an end");
  const path = must(stderr.match(/(\/\S*rbee-partial-\S+\.txt)/)?.[1], `the file's path in:\n${stderr}`);
  const saved = Deno.readTextFileSync(path);
  assert.match(saved, /\S/);
  assert.equal(saved.trimEnd(), stdout.trimEnd());
});

suite.step("stderr says how many of {int} tokens were generated", function (most: number) {
  const { stderr } = must(this.finished, "an end");
  const match = stderr.match(/Tokens generated: (\d+) \/ (\d+)/);
  assert.ok(match, stderr);
  assert.equal(Number(match[2]), most);
  assert.ok(Number(match[1]) > 0 && Number(match[1]) < most, match[0]);
});

suite.step("it was told after 1, 2 and 4 seconds that the worker is busy", function () {
  const told = must(this.command, "a command").pieces.filter((p) => /busy, retrying in/.test(p.text));
  assert.equal(told.length, 3, must(this.finished, "an end").stderr);
  const waits = [told[1].atMs - told[0].atMs, told[2].atMs - told[1].atMs];
  // The first wait is 1 s, the second 2 s: a busy machine only makes them longer.
  assert.ok(waits[0] > 900 && waits[1] > 1_900, waits.join());
});

suite.step("nothing runs", function () {
  assert.deepEqual(this.world.leftovers(), []);
});

suite.step("nothing of it is left but its files", async function () {
  await this.world.nothingLeft(2_000);
});

suite.step("soon nothing of it is left", async function () {
  await this.world.nothingLeft(15_000);
});

suite.step("the model catalog is still on disk", function () {
  assert.ok(Deno.statSync(join(this.world.home, "models.db")).size > 0);
});

suite.step("the hive's log tells of the crash", async function () {
  const { id } = must(this.worker, "a worker");
  const folder = join(this.world.home, "logs");
  const texts = () =>
    [...Deno.readDirSync(folder)].filter((e) => e.name.startsWith("rbee-hive") || e.name.startsWith("hive"))
      .map((e) => Deno.readTextFileSync(join(folder, e.name))).join("\n");
  const line = await eventually(
    () => texts().split("\n").find((l) => l.includes(id) && /crash/i.test(l)),
    { withinMs: 2_000, what: "the hive logs the crash", seen: texts },
  );
  assert.match(line, /crash/i);
});
