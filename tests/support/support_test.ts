import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { eventually, pause } from "./eventually.ts";
import { claimPorts, listeningPorts } from "./ports.ts";
import { isAlive, killAll, processesOf, programOf, send } from "./processes.ts";
import { Program } from "./program.ts";
import { parseAnswer, RawConnection, rawRequest } from "./raw_http.ts";
import { EventReader } from "./sse_reader.ts";
import { newTemporaryFolder, removeFolder } from "./temporary.ts";
import { byPython, byScript } from "./terminal.ts";

const sh = (script: string, home: string, more: Record<string, unknown> = {}) =>
  new Program({
    exe: "/bin/sh",
    args: ["-c", script],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", RBEE_HOME: home },
    ...more,
  });

Deno.test("two claims of ports never overlap, and a claim is free again when it is disposed", () => {
  using a = claimPorts();
  using b = claimPorts();
  assert.ok(a.last < b.first || b.last < a.first);
  for (const range of [a, b]) assert.ok(range.queen < range.hive && range.hive < range.workerStart);
});

Deno.test("a process belongs to a world by its environment, also when its parent is gone", async () => {
  const folder = newTemporaryFolder();
  const home = join(folder, "r");
  const program = sh("sleep 60 & echo started; exit 3", home);
  const finished = await program.ends(5_000);
  assert.equal(finished.code, 3);
  assert.equal(finished.stdout, "started\n");
  const left = processesOf(home);
  assert.equal(left.length, 1, "the orphan is found");
  assert.equal(left[0].args[0], "sleep");
  killAll(left);
  await eventually(() => processesOf(home).length === 0, { withinMs: 1_000, what: "it is dead" });
  assert.equal(processesOf(`${home}x`).length, 0);
  removeFolder(folder);
});

Deno.test("a process that has only just been forked is not counted beside its parent, and is when that is gone", async () => {
  const home = newTemporaryFolder();
  // A subshell is such a process for as long as it lives.
  const hive = join(home, "rbee-hive");
  Deno.symlinkSync("/bin/sh", hive);
  const script = "(while :; do sleep 0.05; done) & echo begun; wait";
  const options = { args: ["-c", script], env: { RBEE_HOME: home } };
  const parent = new Deno.Command(hive, { ...options, stdin: "null", stdout: "piped" }).spawn();
  const output = parent.stdout.getReader();
  await output.read();
  const shells = () => processesOf(home).filter((entry) => programOf(entry) === "rbee-hive");
  assert.deepEqual(shells().map(({ pid }) => pid), [parent.pid]);
  parent.kill("SIGKILL");
  await parent.status;
  const [child, ...others] = shells();
  assert.ok(child && others.length === 0, "the child is alone now");
  killAll([child]);
  await output.cancel();
  removeFolder(home);
});

Deno.test("the next run clears away what a killed one left", async () => {
  const dead = sh("exit 0", "/x");
  await dead.finished;
  assert.equal(isAlive(dead.pid), false);
  const folder = Deno.makeTempDirSync({ dir: Deno.realPathSync("/tmp"), prefix: `rbee-t${dead.pid}-` });
  const orphan = sh("sleep 60", `${folder}/r`);
  const script = `import("${new URL("./temporary.ts", import.meta.url)}").then((m) => m.newTemporaryFolder())`;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const other = new Program({
    exe: Deno.execPath(),
    args: ["eval", "--config", config, script],
    cwd: "/",
    env: { HOME: "/tmp", TMPDIR: "/tmp", PATH: "/usr/bin:/bin" },
  });
  assert.equal((await other.ends(5_000)).code, 0, other.account());
  assert.equal((await orphan.ends(1_000)).signal, "SIGKILL");
  assert.throws(() => Deno.statSync(folder), Deno.errors.NotFound);
});

Deno.test("a program's output has times, its input can be typed, an interrupt reaches its whole group", async () => {
  const program = sh("trap 'echo caught; exit 7' INT; echo ready; cat >/dev/null & sleep 20", "/nowhere", {
    stdin: "open",
  });
  await program.sees(/ready/, { withinMs: 2_000 });
  assert.ok(program.pieces[0].atMs >= 0);
  program.interrupt();
  assert.equal((await program.ends(2_000)).code, 7);
  assert.equal(send(-program.pid, "SIGTERM"), false, "nobody of the group is left");
});

for (const [by, command] of Object.entries({ python3: byPython, script: byScript })) {
  const script = "trap 'echo caught; exit 7' INT; test -t 1 && echo tty; read x; read y";
  const onPty = command("/bin/sh", ["-c", script]);
  Deno.test({
    name: `on a terminal by ${by} a typed Ctrl+C is a SIGINT, and the exit code comes through`,
    ignore: onPty === undefined,
    async fn() {
      assert.ok(onPty);
      const program = new Program({ ...onPty, cwd: "/", env: { PATH: "/usr/bin:/bin" }, stdin: "open" });
      await program.sees(/tty/, { withinMs: 5_000 });
      await program.write("\x03");
      const finished = await program.ends(5_000);
      assert.match(finished.stdout, /caught/);
      assert.equal(finished.code, 7);
    },
  });
}

Deno.test("raw HTTP sees what a server sends, chunks put together", async () => {
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    (request) => {
      const host = request.headers.get("host");
      const pieces = [`host ${host} `, request.method];
      return new Response(ReadableStream.from(pieces).pipeThrough(new TextEncoderStream()), { status: 418 });
    },
  );
  const { port } = server.addr;
  const answer = await rawRequest(port, { method: "POST", path: "/", headers: { host: "evil.example" }, body: "x" });
  assert.equal(answer.status, 418);
  assert.equal(answer.body, "host evil.example POST");
  using connection = await RawConnection.open(port);
  assert.ok(listeningPorts().includes(port));
  await connection.send({ method: "GET", path: "/", headers: { host: "a" } });
  assert.equal(parseAnswer(await connection.read()).status, 418);
});

Deno.test("an event reader tells named events, default events, comments and the end", async () => {
  const text = 'event: started\ndata: {"a":1}\n\n: keep-alive\n\nid: 0\ndata: {"token":"x"}\n\ndata: [DONE]\n\n';
  await using reader = new EventReader(new Response(text).body!);
  const token = await reader.until((e) => e.event === "message", { withinMs: 1_000, what: "a token" });
  assert.equal(token.id, "0");
  await reader.all(1_000);
  assert.deepEqual(reader.values(), [{ token: "x" }]);
  assert.deepEqual(reader.comments, ["keep-alive"]);
});

Deno.test("waiting ends with what was waited for", async () => {
  await assert.rejects(eventually(() => false, { withinMs: 10, what: "pigs fly" }), /Cannot see that pigs fly/);
  assert.equal(await eventually(() => pause(1).then(() => 5), { withinMs: 10, what: "five" }), 5);
});
