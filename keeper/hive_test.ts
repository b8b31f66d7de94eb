import assert from "node:assert/strict";
import { rbeeDialect } from "../protocol/dialects/rbee.ts";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import { sentence } from "./hive.ts";
import { wholeLines } from "./node_logs.ts";
import { runKeeper, startKeeper, until } from "./testdata/run_keeper.ts";
import { StandInQueen } from "./testdata/stand_in_queen.ts";

const node = (more = {}) => ({
  ...{ node_name: "box", transport: "ssh" as const, status: "reachable" as const, hive_port: 9200 },
  ...{ last_connected_unix: 1, last_error: null, machine: null, hive_url: null, hive_version: "0.1.0", hive_pid: 42 },
  ...{ leased: true, hive_status: "connected" as const, ssh_host: "box.lan", ssh_user: "me", workers: 2 },
  ...more,
});
const down = {
  ...{ node_name: "far", hive_version: null, hive_pid: null, leased: null, hive_status: "unreachable" as const },
  ...{ last_error: "Cannot connect to far:22 after 3 attempts", workers: 0 },
};

Deno.test("a start shows what the queen tells meanwhile, and ends with the hive", async () => {
  const told = { actor: "queen-rbee", action: "hive-connect", target: "box", human: "🔌 Attempt 1: connecting" };
  await using queen = new StandInQueen({
    onHive: async (out) => {
      await out.write(encodeJsonEvent(told, "narration"));
      await out.write(encodeJsonEvent({ node: "box", result: "started", hive_pid: 42, hive_port: 9200 }) + doneText);
    },
  });
  const ran = await runKeeper(["hive", "start", "--node", "box"], queen);
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stderr, /\[queen-rbee\] 🔌 Attempt 1: connecting/);
  assert.equal(ran.stdout, "✓ The hive on box is up (pid 42, port 9200)\n");
});

Deno.test("a start that fails ends with 1 and why", async () => {
  const error = new RbeeError("NODE_NOT_INSTALLED", { message: "Cannot start the hive on box", hint: "Install it" });
  await using queen = new StandInQueen({ onHive: (out) => out.write(rbeeDialect.error(toErrorBody(error))) });
  const ran = await runKeeper(["hive", "start", "--node", "box"], queen);
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /Cannot start the hive on box \(NODE_NOT_INSTALLED\)\n\nSuggestion: Install it/);
});

Deno.test("without a queen no hive can be kept", async () => {
  const home = Deno.makeTempDirSync({ prefix: "rbee-keeper-" });
  const ran = await runKeeper(["hive", "start", "--node", "box"], { home });
  Deno.removeSync(home, { recursive: true });
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /PERSISTENT_QUEEN_NEEDED\)\n\nSuggestion: .*rbee up/);
});

Deno.test("each outcome of a change has its sentence", () => {
  assert.equal(sentence({ node: "box", result: "none" }), "No hive is running on box");
  assert.match(
    sentence({ node: "box", result: "restarted", hive_pid: 7 }),
    /^✓ The hive on box is up again \(pid 7\)$/,
  );
  assert.match(sentence({ node: "box", result: "killed" }), /was killed/);
});

Deno.test("status tells where each hive is, or why it is not there, and never an address that leads elsewhere", async () => {
  await using queen = new StandInQueen({ nodes: [node(), node(down)] });
  const ran = await runKeeper(["hive", "status"], queen);
  assert.match(ran.stdout, /^box +connected +0\.1\.0 +42 +its queen +2 +- +me@box\.lan, port 9200$/m);
  assert.match(ran.stdout, /^far +unreachable +- +- +- +0 +- +me@box\.lan$/m);
  assert.match(ran.stdout, /\n✗ far: Cannot connect to far:22 after 3 attempts$/m);
  const all = await runKeeper(["status"], queen);
  assert.match(all.stdout, /^box +connected +0\.1\.0 +2 .* me@box\.lan, port 9200$/m);
  assert.ok(!/127\.0\.0\.1:9200/.test(all.stdout), all.stdout);
  const json = JSON.parse((await runKeeper(["hive", "status", "--node", "far", "--json"], queen)).stdout);
  assert.deepEqual([json.nodes.length, json.nodes[0].status, json.nodes[0].hive_pid], [1, "unreachable", null]);
  const unknown = await runKeeper(["hive", "status", "--node", "nowhere"], queen);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /NODE_NOT_FOUND/);
});

Deno.test("a node that does not answer is a line of the workers' lists", async () => {
  const states = [
    { node: "box", status: "connected" as const, error: null },
    { node: "idle", status: "not-connected" as const, error: null },
    { node: "far", status: "unreachable" as const, error: "Cannot connect to far:22" },
  ];
  await using queen = new StandInQueen({ states });
  for (const command of ["list", "health"]) {
    const ran = await runKeeper(["workers", command], queen);
    assert.equal(ran.code, 0);
    assert.match(ran.stdout, /\n○ idle: not connected\n✗ far: unreachable: Cannot connect to far:22\n$/);
  }
});

Deno.test("a node's log is shown as this machine's is, or as it stands there", async () => {
  const line = JSON.stringify({ time: "2026-11-26T14:00:00.000Z", level: "warn", message: "it rains", on: "box" });
  await using queen = new StandInQueen({ onLogs: (out) => out.write(`${line}\n`) });
  const ran = await runKeeper(["logs", "--node", "box", "--worker", "worker-1", "--lines", "7"], queen);
  assert.match(ran.stdout, /WARN {2}\[worker-1\] it rains {2}on=box\n$/);
  assert.deepEqual(queen.logs, [{ node: "box", worker: "worker-1", lines: 7, follow: false }]);
  assert.equal((await runKeeper(["logs", "--node", "box", "--json"], queen)).stdout, `${line}\n`);
  const wrong = await runKeeper(["logs", "--node", "box", "--program", "queen"], queen);
  assert.equal(wrong.code, 2);
});

Deno.test("following a node's log ends with Ctrl+C and 130, and the queen notices", async () => {
  let left = false;
  await using queen = new StandInQueen({
    onLogs: async (out) => {
      await out.write("one\n");
      await new Promise<void>((resolve) => out.signal.addEventListener("abort", () => resolve(), { once: true }));
      left = true;
    },
  });
  const keeper = startKeeper(["logs", "--node", "box", "--follow"], queen);
  const reader = keeper.stdout.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /one\n$/);
  keeper.kill("SIGINT");
  await reader.cancel();
  await keeper.stderr.cancel();
  assert.equal((await keeper.status).code, 130);
  await until(() => left);
});

Deno.test("a log that breaks off while it is followed is told", async () => {
  await using queen = new StandInQueen({
    onLogs: async (out) => {
      await out.write("one\n");
      await new Promise((resolve) => setTimeout(resolve, 100)); // an error overtakes what is still in the buffer
      throw new Error("the cable was pulled");
    },
  });
  const ran = await runKeeper(["logs", "--node", "box", "--follow"], queen);
  assert.equal(ran.code, 1);
  assert.match(ran.stdout, /one\n$/);
  assert.match(ran.stderr, /CONNECTION_LOST/);
});

Deno.test("text comes in whole lines, a last one without its end as well", async () => {
  const pieces = ["a", "b\nc", "\nd"].map((text) => new TextEncoder().encode(text));
  const texts = await Array.fromAsync(wholeLines(ReadableStream.from(pieces)));
  assert.deepEqual(texts, ["ab\n", "c\n", "d"]);
});
