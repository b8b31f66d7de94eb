import assert from "node:assert/strict";
import { endProcess, isAlive, runsProgram } from "./other_process.ts";

Deno.test("a process is alive until it has ended, and its zombie is not", async () => {
  assert.ok(isAlive(Deno.pid));
  // The shell starts a child that ends at once and becomes something that never looks after its children.
  const zombies = new Deno.Command("sh", { args: ["-c", "sleep 0 & echo $!; exec sleep 60"], stdout: "piped" }).spawn();
  const reader = zombies.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  for (let wait = 0; isAlive(pid) && wait < 100; wait++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isAlive(pid), false);
  assert.ok(endProcess(zombies.pid, "SIGKILL"));
  await zombies.status;
  await reader.cancel();
  assert.equal(isAlive(zombies.pid), false);
  assert.equal(endProcess(zombies.pid, "SIGTERM"), false);
});

Deno.test("a test runner is no queen", () => {
  assert.notEqual(runsProgram(Deno.pid, "queen-rbee"), true);
});
