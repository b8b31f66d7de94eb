import assert from "node:assert/strict";
import { endProcess, isAlive, namesProgram, runsProgram } from "./other_process.ts";

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

Deno.test("a program is known by its command line, however it was started", () => {
  const names = (words: string) => namesProgram(words.replaceAll(" ", "\0"), "rbee-hive");
  for (const words of ["/opt/rbee/rbee-hive daemon", "rbee-hive daemon ", "deno run -P=hive hive/main.ts daemon"]) {
    assert.equal(names(words), true, words);
  }
  for (const words of ["queen-rbee daemon", "/opt/not-rbee-hive", "vi rbee-hive.log", "deno run behive/main.ts", ""]) {
    assert.equal(names(words), false, words);
  }
});

Deno.test("a test runner is no queen, and a process that is not there is none", () => {
  assert.notEqual(runsProgram(Deno.pid, "queen-rbee"), true);
  assert.notEqual(runsProgram(2 ** 22 + 1, "queen-rbee"), true); // above the largest number that Linux gives
});
