import assert from "node:assert/strict";
import { type ErrorCode, RbeeError, toErrorBody } from "../protocol/error.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { runKeeper, startKeeper, until } from "./testdata/run_keeper.ts";
import { StandInQueen } from "./testdata/stand_in_queen.ts";

const result = (node_name: string) => ({
  ...{ node_name, version: "0.1.0", platform: "linux-x64", backend: "cpu" },
  ...{ files_sent: 2, bytes_sent: 4, files_kept: 0, install_path: "/home/me/rbee" },
});

const beehive = (node_name: string) => ({
  ...{ node_name, transport: "ssh" as const, status: "reachable" as const, hive_port: 9200, platform: null },
  ...{ last_connected_unix: null, last_error: null, ssh_host: "h", ssh_port: 22, ssh_user: "me", ssh_key_path: null },
  ...{ git_repo_url: null, git_branch: null, install_path: "/home/me/rbee" },
  ...{ worker_port_start: null, worker_port_end: null },
});

async function installs(out: StreamWriter, node: string): Promise<void> {
  const narrate = (human: string) =>
    out.write(encodeJsonEvent({ actor: "queen-rbee", action: "node-install", target: node, human }, "narration"));
  const sent = (bytes_sent: number) =>
    out.write(
      encodeJsonEvent({ stage: "sending", file: "rbee-hive", bytes_sent, bytes_total: 4, speed_mbps: 1 }, "progress"),
    );
  await narrate(`📦 Sending to ${node}`);
  await sent(2);
  await sent(4);
  await narrate(`✅ Installation complete on ${node}`);
  await out.write(encodeJsonEvent(result(node)) + doneText);
}

const fails = (code: ErrorCode, details: Record<string, unknown> = {}) => async (out: StreamWriter) => {
  const error = new RbeeError(code, { message: "Cannot do it: so it is", details });
  await out.write(encodeJsonEvent(toErrorBody(error)) + doneText);
};

Deno.test("setup install tells each step and how far the sending is (S03)", async () => {
  await using queen = new StandInQueen({ onInstall: installs });
  const ran = await runKeeper(["setup", "install", "--node", "pi", "--backend", "cpu", "--service"], queen);
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(ran.stdout, "");
  assert.equal(
    ran.stderr,
    "[queen-rbee] 📦 Sending to pi\n" +
      "[queen-rbee] ⏳ Sending: 50% (0.0 MB / 0.0 MB) 1.0 MB/s, rbee-hive\n" +
      "[queen-rbee] ⏳ Sending: 100% (0.0 MB / 0.0 MB) 1.0 MB/s, rbee-hive\n" +
      "[queen-rbee] ✅ Installation complete on pi\n",
  );
  const json = await runKeeper(["setup", "install", "-n", "pi", "--from-source", "--no-service", "--json"], queen);
  assert.deepEqual(JSON.parse(json.stdout), result("pi"));
  assert.equal(json.stderr, "");
  assert.equal((await runKeeper(["setup", "install", "-n", "pi", "--ship", "-q"], queen)).stderr, "");
  assert.deepEqual(queen.installs, [
    { node_name: "pi", backend: "cpu", service: true },
    { node_name: "pi", mode: "source", service: false },
    { node_name: "pi", mode: "ship" },
  ]);
});

Deno.test("setup install --all goes on after a failure and ends with a line a node, and what to do", async () => {
  const onInstall = async (out: StreamWriter, node: string) =>
    node === "b" ? await fails("DISK_FULL")(out) : await installs(out, node);
  await using queen = new StandInQueen({ onInstall, beehives: ["a", "b", "c"].map(beehive) });
  const ran = await runKeeper(["setup", "install", "--all"], queen);
  assert.equal(ran.code, 1);
  assert.equal(
    ran.stdout,
    "✓ a: v0.1.0, linux-x64, cpu, 2 files sent\n✗ b: Cannot do it: so it is (DISK_FULL)\n" +
      "    Suggestion: Free space and try again\n" +
      "✓ c: v0.1.0, linux-x64, cpu, 2 files sent\n",
  );
  const json = JSON.parse((await runKeeper(["setup", "install", "--all", "--json"], queen)).stdout);
  assert.deepEqual(json.nodes[0], { ok: true, ...result("a") });
  assert.deepEqual([json.nodes[1].ok, json.nodes[1].node_name, json.nodes[1].error.code], [false, "b", "DISK_FULL"]);
  await using empty = new StandInQueen({});
  const none = await runKeeper(["setup", "install", "--all"], empty);
  assert.deepEqual([none.code, none.stdout.startsWith("No nodes are registered")], [0, true]);
});

Deno.test("setup install that fails is one error with the queen's hint", async () => {
  await using queen = new StandInQueen({ onInstall: fails("PLATFORM_NOT_AVAILABLE") });
  const ran = await runKeeper(["setup", "install", "--node", "pi"], queen);
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /Cannot do it: so it is \(PLATFORM_NOT_AVAILABLE\)\n\nSuggestion: .*--from-source/);
});

Deno.test("setup install wants one machine or all, and no two ways at once", async () => {
  await using queen = new StandInQueen({ onInstall: installs });
  const lines = [[], ["--node", "a", "--all"], ["--node", "a", "--ship", "--from-source"], ["--node", "../a"], [
    "--node",
    "a",
    "--backend",
    "rocm",
  ]];
  for (const args of lines) {
    const ran = await runKeeper(["setup", "install", ...args], queen);
    assert.equal(ran.code, 2, args.join(" "));
    assert.match(ran.stderr, /\(USAGE\)/);
  }
  assert.deepEqual(queen.installs, []);
});

Deno.test("setup uninstall says what stays; Ctrl+C ends what is under way", async () => {
  const human = "/home/me/.rbee stays; --purge removes it";
  const onInstall = async (out: StreamWriter, node: string) => {
    if (node === "slow") await new Promise((resolve) => out.signal.addEventListener("abort", resolve));
    const target = { actor: "queen-rbee", action: "node-uninstall", target: node, human };
    await out.write(encodeJsonEvent(target, "narration"));
    await out.write(encodeJsonEvent({ node_name: node, install_path: "/r", notes: [human] }) + doneText);
  };
  await using queen = new StandInQueen({ onInstall });
  const ran = await runKeeper(["setup", "uninstall", "--node", "pi", "--purge"], queen);
  assert.deepEqual(ran, { code: 0, stdout: "", stderr: `[queen-rbee] ${human}\n` });
  assert.deepEqual(queen.installs, [{ node_name: "pi", purge: true }]);
  const child = startKeeper(["setup", "uninstall", "--node", "slow"], queen);
  await until(() => queen.installs.length === 2);
  child.kill("SIGINT");
  const output = await child.output();
  assert.equal(output.code, 130);
  assert.match(new TextDecoder().decode(output.stderr), /Canceled\./);
});
