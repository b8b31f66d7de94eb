import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { readStarted, type RemoteHiveFacts, startCommand } from "./remote_start.ts";

/** A node that is a folder: its HOME, and a `rbee-hive` of sh in it. */
class Box implements AsyncDisposable {
  readonly home = Deno.makeTempDirSync({ prefix: "rbee-start-" });
  readonly facts: RemoteHiveFacts = {
    ...{ node: "box", host: "box.home.arpa", exe: "~/rbee/current/rbee-hive" },
    ...{ hivePort: 9201, workerPortStart: 8081, workerPortEnd: 8090 },
  };

  /** What the hive does once it runs; `publish` writes its hive.json. */
  install(body: string): void {
    Deno.mkdirSync(`${this.home}/rbee/current`, { recursive: true });
    const script = `#!/bin/sh
echo "$@" > "$HOME/arguments"; env | grep ^RBEE_ > "$HOME/environment"
publish() {
  echo secret-token > "$HOME/.rbee/hive.token"
  printf '{"pid":%s,"url":"http://127.0.0.1:%s","version":"0.1.0","started_unix":1}' $$ 9201 > "$HOME/.rbee/hive.json"
}
trap 'rm -f "$HOME/.rbee/hive.json"; exit 0' TERM
${body}
`;
    Deno.writeTextFileSync(`${this.home}/rbee/current/rbee-hive`, script, { mode: 0o755 });
  }

  /** `first`: a command of the login shell before the script. */
  async run(action: "find" | "start" | "stop", more: Record<string, string> = {}, first = "") {
    const { command, input } = startCommand(action, this.facts);
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", first + command],
      clearEnv: true,
      env: { HOME: this.home, PATH: "/usr/bin:/bin", ...more },
      cwd: "/",
      ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
    }).spawn();
    await new Blob([input]).stream().pipeTo(child.stdin);
    const { code, stdout, stderr } = await child.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return readStarted(this.facts, { code, stdout: `noise of an rc file\n${text(stdout)}`, stderr: text(stderr) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("stop");
    Deno.removeSync(this.home, { recursive: true });
  }
}

const lives = "publish\nwhile :; do sleep 0.05; done";
const code = (wanted: string, says: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RbeeError);
  assert.equal(error.code, wanted);
  assert.match(`${error.message}\n${error.hint}`, says);
  assert.equal(error.details.node, "box");
  return true;
};

Deno.test("a hive is started once, with its ports, found the next time, and stopped", async () => {
  await using box = new Box();
  box.install(lives);
  assert.equal(await box.run("find"), undefined);
  const started = await box.run("start");
  assert.deepEqual({ ...started, pid: 0 }, {
    ...{ how: "started", pid: 0, port: 9201, version: "0.1.0", token: "secret-token", leased: true },
  });
  assert.equal(Deno.readTextFileSync(`${box.home}/arguments`), "daemon --leased --detached --port-fallback\n");
  const environment = Deno.readTextFileSync(`${box.home}/environment`);
  for (const line of ["RBEE_HIVE_PORT=9201", "RBEE_WORKERS_PORT_START=8081", "RBEE_WORKERS_PORT_END=8090"]) {
    assert.ok(environment.includes(line), environment);
  }
  assert.doesNotMatch(environment, /PARENT|TOKEN|KEY/);
  const again = await box.run("start");
  assert.deepEqual(again, { ...started, how: "found" });
  assert.deepEqual(await box.run("find"), again);
  assert.equal(await box.run("stop"), undefined);
  assert.equal(await box.run("find"), undefined);
});

Deno.test("two starts at once give one hive", async () => {
  await using box = new Box();
  // As the real one does: who finds the catalog locked waits for it a while, then gives up.
  box.install(`mkdir "$HOME/lock" 2>/dev/null || { sleep 1; exit 1; }\nsleep 0.2\n${lives}`);
  const both = await Promise.all([box.run("start"), box.run("start")]);
  assert.equal(both[0]?.pid, both[1]?.pid);
});

Deno.test("a file that names a process which is no hive any more is no hive", async () => {
  await using box = new Box();
  box.install(lives);
  Deno.mkdirSync(`${box.home}/.rbee`);
  const stale = { pid: Deno.pid, url: "http://127.0.0.1:1", version: "0.1.0", started_unix: 1 };
  Deno.writeTextFileSync(`${box.home}/.rbee/hive.json`, JSON.stringify(stale));
  assert.equal(await box.run("find"), undefined);
  assert.equal((await box.run("start"))?.how, "started");
});

Deno.test("a file that names the process of the script itself, as after a reboot, is no hive", async () => {
  await using box = new Box();
  box.install(lives);
  Deno.mkdirSync(`${box.home}/.rbee`);
  const stale = `{"pid":%s,"url":"http://127.0.0.1:1","version":"0.1.0","started_unix":1}`;
  const started = await box.run("start", {}, `printf '${stale}' $$ >"$HOME/.rbee/hive.json"; `);
  assert.equal(started?.how, "started");
});

Deno.test("RBEE_HOME of that login is where the hive lives", async () => {
  await using box = new Box();
  box.install(lives.replace("publish", `mkdir -p "$HOME/.rbee"; publish; cp "$HOME/.rbee/"* "$RBEE_HOME/"`));
  const more = { RBEE_HOME: `${box.home}/elsewhere` };
  const started = await box.run("start", more);
  assert.equal(started?.how, "started");
  assert.equal(await box.run("stop", more), undefined);
});

Deno.test("why it did not start is told with what mends it", async () => {
  await using box = new Box();
  await assert.rejects(box.run("start"), code("NODE_NOT_INSTALLED", /rbee setup install --node box/));
  box.install(`echo '[rbee-hive] ❌ Error: Cannot start rbee-hive: port 9201 is taken (PORT_TAKEN)' >&2; exit 1`);
  await assert.rejects(box.run("start"), code("HIVE_START_FAILED", /hive on box: .*port 9201 is taken/));
  box.install(`kill -KILL $$`);
  await assert.rejects(box.run("start"), code("HIVE_START_FAILED", /signal number 9/));
  Deno.writeTextFileSync(`${box.home}/rbee/current/rbee-hive`, "\x7fELF of another kind of machine", { mode: 0o755 });
  await assert.rejects(box.run("start"), code("HIVE_START_FAILED", /rbee setup install --node box/));
});

Deno.test("a shell that runs no script is told", () => {
  const facts = { node: "box", host: "b", exe: "e", hivePort: 1, workerPortStart: 1, workerPortEnd: 1 };
  const answer = { code: 1, stdout: "", stderr: "'exec' is not recognized as an internal or external command" };
  assert.throws(() => readStarted(facts, answer), code("SSH_SHELL_UNUSABLE", /not recognized/));
  const odd = { code: 0, stdout: "rbee-start: found\nrbee-start: running {nonsense\n", stderr: "" };
  assert.throws(() => readStarted(facts, odd), (error: RbeeError) => error.code === "INVALID_RESPONSE");
});
