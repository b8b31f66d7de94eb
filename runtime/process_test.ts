import assert from "node:assert/strict";
import { runOnce, startChild } from "./process.ts";

const sh = (script: string) => ({ exe: "/bin/sh", args: ["-c", script], cwd: "/" });

Deno.test("a child's end tells its code, and its last words are kept", async () => {
  const child = startChild(sh("echo out; echo err >&2; exit 3"));
  const ended = await child.ended;
  assert.deepEqual({ code: ended.code, cause: ended.cause }, { code: 3, cause: "exited" });
  assert.match(child.tail(), /out/);
  assert.match(child.tail(), /err/);
});

Deno.test("stopping climbs from SIGTERM to SIGKILL when a child ignores the first", async () => {
  const polite = startChild(sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"));
  const stubborn = startChild(sh("trap '' TERM; echo up; while :; do sleep 0.05; done"));
  while (!polite.tail().includes("up") || !stubborn.tail().includes("up")) await new Promise((r) => setTimeout(r, 10));
  assert.equal((await polite.stop(5_000)).cause, "terminated");
  assert.deepEqual((({ cause, signal }) => ({ cause, signal }))(await stubborn.stop(200)), {
    cause: "killed",
    signal: "SIGKILL",
  });
});

Deno.test("keys and library paths of ours do not reach a child", async () => {
  Deno.env.set("RBEE_QUEEN_TOKEN", "secret");
  Deno.env.set("LD_NONSENSE", "1");
  try {
    const output = await runOnce("/usr/bin/env", []);
    assert.ok(output && !output.stdout.includes("secret") && !output.stdout.includes("LD_NONSENSE"));
    assert.ok(output.stdout.includes(`RBEE_PARENT_PID=${Deno.pid}`));
  } finally {
    Deno.env.delete("RBEE_QUEEN_TOKEN");
    Deno.env.delete("LD_NONSENSE");
  }
});

Deno.test("a short command is bounded in time and output, and a missing one is no error", async () => {
  assert.equal(await runOnce("/nowhere/to/be/found", []), undefined);
  const slow = await runOnce("/bin/sh", ["-c", "exec sleep 30"], { timeoutMs: 50 });
  assert.equal(slow?.code, 137);
  const loud = await runOnce("/bin/sh", ["-c", "head -c 100000 /dev/zero | tr '\\0' x"], { bytesMax: 10 });
  assert.ok(loud && loud.stdout.length < 100_000);
});
