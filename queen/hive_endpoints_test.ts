import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { parseText } from "../protocol/sse.ts";
import { BenchQueen } from "./testdata/bench_queen.ts";
import { StandInHive } from "./testdata/stand_in.ts";

// The client of `fetch` keeps connections for the next request; they are nobody's leak.
const relaxed = { sanitizeResources: false, sanitizeOps: false };

const until = async (look: () => boolean) => {
  for (let n = 0; n < 300 && !look(); n++) await new Promise((resolve) => setTimeout(resolve, 10));
  ok(look(), `never: ${look}`);
};
const isUp = (queen: BenchQueen) => queen.scheduler.nodes()[0].hive === "up";
const post = async (queen: BenchQueen, path: string, node = "local") => {
  const response = await queen.post(path, { node }, { token: true });
  const text = await response.text();
  return response.ok
    ? parseText(text).map(({ data }) => data === "[DONE]" ? data : JSON.parse(data))
    : JSON.parse(text);
};
const get = (queen: BenchQueen, path: string, signal?: AbortSignal) =>
  fetch(queen.server.url + path, { headers: { authorization: `Bearer ${queen.token}` }, signal });

Deno.test("a hive that is connected was up already; whoever asks is told what it is", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  await until(() => isUp(queen));
  const [outcome, done] = await post(queen, "/v2/hives/start");
  const { hive_version, ...rest } = outcome;
  match(hive_version, /^\d/);
  const port = Number(new URL(hive.server.url).port);
  deepStrictEqual(rest, { node: "local", result: "running", hive_port: port, hive_pid: Deno.pid, leased: false });
  strictEqual(done, "[DONE]");
});

Deno.test("a hive is stopped whoever started it, and does not come back by itself", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  await until(() => isUp(queen));
  deepStrictEqual(await post(queen, "/v2/hives/stop"), [{ node: "local", result: "stopped" }, "[DONE]"]);
  ok(hive.ended);
  deepStrictEqual(queen.events.filter(({ type }) => /^hive(Lost|Released)$/.test(type)).map(({ type }) => type), [
    "hiveReleased",
  ]);
  strictEqual(queen.scheduler.counts().timers, 0, "nothing would start it again");
  const { nodes } = await (await queen.get("/v2/nodes")).json();
  deepStrictEqual([nodes[0].hive_status, nodes[0].hive_version, nodes[0].leased], ["not-connected", null, null]);
  deepStrictEqual(await post(queen, "/v2/hives/stop"), [{ node: "local", result: "none" }, "[DONE]"]);
});

Deno.test("a hive that cannot be started is told with its reason, at the end of the stream", relaxed, async () => {
  await using hive = new StandInHive({ leasedTo: "bee" });
  await using queen = await BenchQueen.start(hive);
  await until(() => queen.scheduler.nodes()[0].error !== undefined);
  const [{ error }] = await post(queen, "/v2/hives/start");
  deepStrictEqual([error.code, error.details.host], ["HIVE_LEASED", "bee"]);
  const { nodes } = await (await queen.get("/v2/workers/list")).json();
  deepStrictEqual([nodes[0].node, nodes[0].status], ["local", "failed"]);
  const health = await (await queen.get("/v2/workers/health?node=local")).json();
  deepStrictEqual([health.status, health.nodes[0].status], ["error", "failed"]);
  strictEqual((await (await queen.get("/v2/workers/health")).json()).status, "ok", "nobody asked for that machine");
});

Deno.test("a queen that ends with a command keeps no hive, and a node must be known", relaxed, async () => {
  await using hive = new StandInHive({ leasedTo: "bee" });
  await using queen = await BenchQueen.start(hive, { mode: "ephemeral" });
  strictEqual((await post(queen, "/v2/hives/start")).error.code, "PERSISTENT_QUEEN_NEEDED");
  strictEqual((await post(queen, "/v2/hives/restart")).error.code, "PERSISTENT_QUEEN_NEEDED");
  strictEqual((await post(queen, "/v2/hives/stop", "nowhere")).error.code, "NODE_NOT_FOUND");
  strictEqual((await (await get(queen, "/v2/logs?node=nowhere")).json()).error.code, "NODE_NOT_FOUND");
  strictEqual((await queen.post("/v2/hives/stop", { node: "local" })).status, 401);
  strictEqual((await queen.get("/v2/logs?node=local")).status, 401);
});

Deno.test("a log is passed on as its hive gives it, and a name that is no id gets no further", relaxed, async () => {
  await using hive = new StandInHive();
  hive.log = (out) => out.write(new Uint8Array([0xff, 0x00, 10, 0xc3]));
  await using queen = await BenchQueen.start(hive);
  await until(() => isUp(queen));
  const response = await get(queen, "/v2/logs?node=local&worker=worker-1&lines=7&follow=false");
  deepStrictEqual(new Uint8Array(await response.arrayBuffer()), new Uint8Array([0xff, 0x00, 10, 0xc3]));
  deepStrictEqual(hive.logQueries, [{ worker: "worker-1", lines: 7, follow: false }]);
  const bad = await get(queen, "/v2/logs?node=local&worker=..%2Fqueen");
  deepStrictEqual([bad.status, (await bad.json()).error.code], [400, "INVALID_REQUEST"]);
});

Deno.test("a reader of a log that leaves is gone at the hive as well", relaxed, async () => {
  await using hive = new StandInHive();
  let left = false;
  hive.log = async (out) => {
    await out.write("first\n");
    await new Promise<void>((resolve) => out.signal.addEventListener("abort", () => resolve(), { once: true }));
    left = true;
  };
  await using queen = await BenchQueen.start(hive);
  await until(() => isUp(queen));
  const client = new AbortController();
  const response = await get(queen, "/v2/logs?node=local&follow=true", client.signal);
  const reader = response.body!.getReader();
  strictEqual(new TextDecoder().decode((await reader.read()).value), "first\n");
  await reader.cancel();
  await until(() => left);
});

Deno.test("a reader that takes nothing holds the log's writer back", relaxed, async () => {
  await using hive = new StandInHive();
  let written = 0;
  hive.log = async (out) => {
    const piece = crypto.getRandomValues(new Uint8Array(64 * 1024)); // which cannot be compressed away
    for (; !out.signal.aborted; written += piece.length) await out.write(piece);
  };
  await using queen = await BenchQueen.start(hive);
  await until(() => isUp(queen));
  const response = await get(queen, "/v2/logs?node=local");
  let before = -1;
  for (let n = 0; n < 100 && before !== written; n++) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  ok(before === written && written < 64 * 1024 * 1024, `${written} bytes were taken from the hive`);
  await response.body!.cancel();
});

Deno.test("whoever watches the queen is told of each hive until she ends", relaxed, async () => {
  await using hive = new StandInHive();
  await using queen = await BenchQueen.start(hive);
  const response = await get(queen, "/v2/narration");
  const told = { actor: "queen-rbee", action: "hive-end", target: "box", human: "🛑 Hive on box has ended (1/2)" };
  queen.news.tell("box", told);
  queen.news.close();
  const events = parseText(await response.text());
  deepStrictEqual(events.map(({ event, data }) => [event, JSON.parse(data)]), [["narration", told]]);
});
