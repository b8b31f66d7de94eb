import assert from "node:assert/strict";
import { hiveCommandLine } from "./command_line.ts";
import type { DaemonFlags } from "./daemon.ts";

async function daemonFlags(...args: string[]): Promise<DaemonFlags> {
  let found: DaemonFlags | undefined;
  const ignore = () => Promise.resolve();
  const commands = {
    daemon: (flags: DaemonFlags) => (found = flags, Promise.resolve()),
    detect: ignore,
    status: ignore,
    fingerprint: ignore,
  };
  const program = hiveCommandLine(commands);
  for (const one of [program, ...program.commands]) one.configureOutput({ writeErr() {}, writeOut() {} });
  await program.parseAsync(["daemon", ...args], { from: "user" });
  return found!;
}

Deno.test("the daemon's address comes by --addr, or by --listen and --port, which win", async () => {
  const plain = {
    port: undefined,
    listen: undefined,
    plaintext: false,
    leased: false,
    portFallback: false,
    detached: false,
  };
  assert.deepEqual(await daemonFlags(), plain);
  assert.deepEqual(await daemonFlags("--addr", "10.0.0.1:9300"), { ...plain, listen: "10.0.0.1", port: 9_300 });
  assert.deepEqual(await daemonFlags("--addr", "[::1]:9300", "--port", "9400"), {
    ...plain,
    listen: "::1",
    port: 9_400,
  });
  assert.deepEqual(await daemonFlags("--plaintext"), { ...plain, plaintext: true });
  assert.deepEqual(await daemonFlags("--leased", "--port-fallback", "--detached"), {
    ...plain,
    leased: true,
    portFallback: true,
    detached: true,
  });
});

Deno.test("a wrong flag, a wrong port and a stray word are usage errors", async () => {
  for (const args of [["--bogus"], ["--port", "80"], ["--port", "9200x"], ["--addr", "nowhere"], ["stray"]]) {
    await assert.rejects(daemonFlags(...args), { name: "CommanderError" }, args.join(" "));
  }
});
