/** Steps about models that come from a hub. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "../../../runtime/path.ts";
import type { Table } from "../../support/gherkin.ts";
import { HubServer } from "../../support/hub_server.ts";
import { EventReader } from "../../support/sse_reader.ts";
import { must, type Scenario, suite } from "./scenario.ts";

const repository = "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF";
const fileName = "tinyllama-q4.gguf";
const reference = `hf:${repository}`;

/** The original's example, and the name of its file there. */
export const mtl = { reference, fileName } as const;

/** Starts a hub that has that model: `builtin:tiny` made longer, which no reader minds. */
export async function startHub(scenario: Scenario, size: number, hostname?: string): Promise<HubServer> {
  const hub = new HubServer({ hostname });
  scenario.atEnd(() => Promise.resolve(endHub(scenario)));
  const bytes = new Uint8Array(size);
  bytes.set(Deno.readFileSync(new URL("../../../native/tiny/tiny.gguf", import.meta.url)));
  await hub.add(repository, { "README.md": new TextEncoder().encode("# A model\n"), [fileName]: bytes });
  scenario.noted.set("hub", hub);
  scenario.noted.set("$MTL", reference);
  return hub;
}

function endHub({ noted }: Scenario): void {
  if (!noted.has("hub is gone")) (noted.get("hub") as HubServer)[Symbol.dispose]();
  noted.set("hub is gone", true);
}

const hubOf = (scenario: Scenario) => must(scenario.noted.get("hub") as HubServer | undefined, "a hub");

/** Requests for the model's bytes, oldest first. */
const askedFor = (scenario: Scenario) =>
  hubOf(scenario).log.filter(({ origin, path, method }) =>
    origin === "cdn" && path.endsWith(fileName) && method === "GET"
  );

/** Requests that are about the file itself, not about its header. */
const downloads = (scenario: Scenario) => askedFor(scenario).slice(Number(scenario.noted.get("asked before") ?? 0));

suite.step("a hub with a model of {int} bytes", async function (size: number) {
  const hub = await startHub(this, size);
  this.world.env.HF_ENDPOINT = hub.url;
});

suite.step("the hub sends {int} bytes a second", function (bytesPerSecond: number) {
  hubOf(this).faults.add({ on: "bytes", bytesPerSecond });
});

suite.step("the hub's connection is reset at byte {int}, {int} times", function (cutAt: number, times: number) {
  hubOf(this).faults.add({ on: "bytes", cutAt, how: "reset", times });
});

suite.step("the hub's connection is reset at byte {int}, each time", function (cutAt: number) {
  hubOf(this).faults.add({ on: "bytes", cutAt, how: "reset" });
});

suite.step("the hub is gone", function () {
  this.noted.set("bytes before", hubOf(this).bytesSent(fileName));
  endHub(this);
});

suite.step("a person has pulled the model", async function () {
  await this.start(`models pull ${reference}`);
  const { code, stderr } = await this.ends();
  assert.equal(code, 0, stderr);
});

suite.step("a person runs on a terminal {string}", async function (line: string) {
  await this.start(line, { terminal: true });
  await this.ends(30_000);
});

interface Row {
  readonly [column: string]: unknown;
}

/** Rows of a catalog, read beside whoever writes it. */
export function catalogRows(home: string): Row[] {
  const path = join(home, "models.db");
  try {
    Deno.statSync(path);
  } catch {
    return []; // no hive has run here
  }
  using database = new DatabaseSync(path, { readOnly: true });
  return database.prepare("select * from models where reference = ?").all(repository) as Row[];
}

suite.step("the catalog does not have the model", function () {
  assert.deepEqual(catalogRows(this.world.home), []);
});

suite.step("the catalog has the model", function () {
  const rows = catalogRows(this.world.home);
  assert.equal(rows.length, 1);
  assert.equal(Deno.statSync(String(rows[0].local_path)).size, rows[0].size_bytes);
});

suite.step("the catalog has the model at that path", function () {
  assert.equal(catalogRows(this.world.home)[0].local_path, this.noted.get("path"));
});

suite.step("the worker has the file that the catalog names", function () {
  const [{ local_path: path }] = catalogRows(this.world.home);
  const [worker] = this.world.processes("llm-worker-rbee");
  const maps = Deno.readTextFileSync(`/proc/${must(worker, "a worker").pid}/maps`);
  assert.ok(maps.includes(String(path)), `${path} is mapped by the worker`);
});

suite.step("no byte of the model was asked for again", function () {
  assert.equal(hubOf(this).bytesSent(fileName), this.noted.get("bytes before"));
});

suite.step("the hive is told to download it, and followed", async function () {
  const body = { model_ref: reference };
  const { status, json, text } = await this.world.call({ who: "hive" }, "POST /v1/models/download", { body });
  assert.equal(status, 200, text);
  assert.equal(json.local_path, undefined);
  const path = `GET /v1/models/download/progress?id=${json.download_id}`;
  const response = await this.world.open({ who: "hive" }, path, { withinMs: 20_000 });
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  this.reader = new EventReader(must(response.body, "a body"));
  await this.reader.all(20_000);
});

suite.step(
  "the events are downloading with growing bytes and a speed, then complete with the file's path, then the end mark",
  function () {
    const { events } = must(this.reader, "a stream");
    assert.equal(events.at(-1)?.data, "[DONE]");
    const values = this.reader!.values().filter((one) => "stage" in one);
    const last = must(values.at(-1), "an event");
    assert.equal(last.stage, "complete");
    this.noted.set("path", last.local_path);
    const before = values.slice(0, -1);
    assert.ok(before.length >= 3, `${before.length} events`);
    for (const [at, one] of before.entries()) {
      assert.equal(one.stage, "downloading");
      assert.equal(one.bytes_total, 5_242_880);
      assert.ok(at === 0 || Number(one.bytes_downloaded) >= Number(before[at - 1].bytes_downloaded));
    }
    assert.ok(before.some((one) => Number(one.speed_mbps) > 0));
  },
);

/** What was on the terminal, without what moves its cursor. */
// deno-lint-ignore no-control-regex -- terminal sequences begin with one
const shown = (text: string) => text.replaceAll(/\x1b\[[0-9;]*[A-Za-z]/g, "").replaceAll("\r", "\n");

suite.step("the terminal showed a bar of 20 cells with percentage and speed", function () {
  const text = shown(must(this.finished, "an end").stdout);
  assert.match(text, /Downloading \[[█-]{20}\] \d+% \(\d\.\d MB \/ 5\.0 MB\) \d+\.\d MB\/s/);
});

suite.step("the terminal showed in this order", function (table: Table) {
  let rest = shown(must(this.finished, "an end").stdout);
  for (const [pattern] of table.rows) {
    const match = rest.match(new RegExp(pattern));
    assert.ok(match?.index !== undefined, `${pattern} is not (or not in this order) in:\n${rest}`);
    rest = rest.slice(match.index + match[0].length);
  }
  this.noted.set("all shown", shown(must(this.finished, "an end").stdout));
});

suite.step("no bar of it went back below {int} percent after that", function (least: number) {
  const text = String(this.noted.get("all shown"));
  const after = text.slice(text.indexOf("attempt 2/6"));
  const shares = [...after.matchAll(/\] (\d+)% \(/g)].map((one) => Number(one[1]));
  assert.ok(shares.length > 0 && shares.every((share) => share >= least), shares.join(", "));
});

suite.step("the hub was asked again {int} ms later, from byte {int} on", function (ms: number, from: number) {
  const asked = downloads(this);
  const again = asked.find(({ range }) => range?.startsWith(`bytes=${from}-`));
  assert.ok(again, asked.map(({ range }) => range).join("; "));
  const told = must(this.command, "a command").pieces;
  const retried = must(told.find(({ text }) => text.includes("attempt 2/6")), "the retry's line");
  const ended = told.at(-1)!;
  assert.ok(ended.atMs - retried.atMs > ms * 0.9, "it waited before it went on");
  const model = asked.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(model < 5_242_880 + 1_000_000, `${model} bytes were sent: nothing came twice but the header`);
});

suite.step("the hub was asked {int} times for the model, never again for what had come", function (times: number) {
  const asked = downloads(this).filter(({ range, bytes }) => bytes > 1_000_000 || range?.startsWith("bytes=2097152-"));
  assert.equal(asked.length, times, downloads(this).map(({ range, bytes }) => `${range}: ${bytes}`).join("; "));
  assert.ok(asked.slice(1).every(({ bytes }) => bytes === 0));
});

suite.step("the table {string} of the catalog has one row", function (table: string, columns: Table) {
  assert.equal(table, "models");
  const rows = catalogRows(this.world.home);
  assert.equal(rows.length, 1);
  for (const [column, value] of columns.rows) assert.equal(String(rows[0][column]), value, column);
});

suite.step("its local_path is the file, and its downloaded_at_unix is now", function () {
  const [{ local_path: path, downloaded_at_unix: at, size_bytes: size }] = catalogRows(this.world.home);
  assert.ok(String(path).startsWith(join(this.world.home, "models/")), String(path));
  assert.equal(Deno.statSync(String(path)).size, size);
  assert.ok(Math.abs(Date.now() / 1_000 - Number(at)) < 60);
});

suite.step("stdout holds {string}", function (text: string) {
  const { stdout } = must(this.finished, "an end");
  assert.ok(stdout.includes(text), stdout);
});
