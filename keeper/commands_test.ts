import assert from "node:assert/strict";
import { encodeJsonEvent } from "../protocol/sse.ts";
import { backendNames } from "../protocol/node.ts";
import { doneText } from "../protocol/sse.ts";
import { buildCommands } from "./commands.ts";
import { backendChoices } from "./shared_flags.ts";
import { runKeeper, startKeeper, until } from "./testdata/run_keeper.ts";
import { StandInQueen } from "./testdata/stand_in_queen.ts";

const worker = (id: string, more = {}) => ({
  ...{ worker_id: id, id, node: "local", url: "http://127.0.0.1:8081", port: 8081, model_ref: "builtin:tiny" },
  ...{ backend: "cpu" as const, device: 0, state: "idle" as const, slots_total: 1, slots_available: 1 },
  ...{ last_activity_unix: 1, failed_health_checks: 0, pid: 42 },
  ...more,
});

/** A RBEE_HOME in which nothing runs. */
function emptyHome(): Disposable & { home: string } {
  const home = Deno.makeTempDirSync({ prefix: "rbee-keeper-" });
  return { home, [Symbol.dispose]: () => Deno.removeSync(home, { recursive: true }) };
}

Deno.test("every command and every group of them has examples in its help", () => {
  const walk = (command: ReturnType<typeof buildCommands>, path: string) => {
    for (const sub of command.commands) walk(sub, `${path} ${sub.name()}`);
    if (command.name() === "__complete") return;
    let help = "";
    command.configureOutput({ writeOut: (text) => help += text }).outputHelp();
    assert.match(help, /Examples:\n {2}\$ rbee /, path);
  };
  walk(buildCommands(() => Promise.resolve()), "");
});

Deno.test("the backends on the command line are those of the protocol", () => {
  assert.deepEqual([...backendChoices], [...backendNames]);
});

Deno.test("wrong usage ends with 2, names what was meant, and leaves stdout empty", async () => {
  using at = emptyHome();
  const cases: [string[], RegExp][] = [
    [["infr"], /unknown command 'infr' \(USAGE\)\n\nSuggestion: Did you mean infer\?/],
    [["infer", "--promt", "x"], /unknown option '--promt' \(USAGE\)\n\nSuggestion: Did you mean --prompt\?/],
    [["infer", "-p", ""], /prompt: it is empty \(USAGE\)/],
    [["infer", "-p", "x", "--timeout", "30"], /'30' is invalid\. Write it as 500ms, 30s, 5m/],
    [["infer", "-p", "x", "--backend", "tpu"], /Allowed choices are cpu, cuda/],
    [["workers"], /needs one of its commands/],
    [["models", "pull"], /missing required argument 'model'/],
    [["models", "pull", "tiny", "--node", "../x"], /must be a name of letters/],
    [["logs", "--worker", "../queen"], /must be a name of letters/],
    [["help", "bogus"], /unknown command 'bogus' \(USAGE\)/],
    [["setup", "add-node", "--name", "a", "--ssh-host", "-oX", "--ssh-user", "me"], /must be a host name/],
    [["setup", "add-node", "--name", "a", "--ssh-host", "h", "--ssh-user", "-oX"], /must be a user name/],
    [["setup", "update-node", "--name", "a", "--worker-ports", "9000-8000"], /first port is above its last/],
  ];
  await Promise.all(cases.map(async ([args, expected]) => {
    const ran = await runKeeper(args, at);
    assert.equal(ran.code, 2, args.join(" "));
    assert.equal(ran.stdout, "");
    assert.match(ran.stderr, expected);
  }));
});

Deno.test("help, the version and the licences go to stdout with 0", async () => {
  using at = emptyHome();
  const [help, command, nested, version, licenses] = await Promise.all([
    runKeeper([], at),
    runKeeper(["help", "infer"], at),
    runKeeper(["help", "setup", "update-node"], at),
    runKeeper(["--version"], at),
    runKeeper(["--licenses"], at),
  ]);
  assert.match(help.stdout, /^Usage: rbee .*infer.*Examples:/s);
  assert.match(command.stdout, /^Usage: rbee infer .*--repetition-penalty/s);
  assert.match(nested.stdout, /^Usage: rbee setup update-node .*--worker-ports/s);
  assert.doesNotMatch(nested.stdout, /default/, "what is left out stays as it is");
  assert.match(version.stdout, /^rbee-keeper \d+\.\d+\.\d+ \(.*\)\n$/);
  assert.match(licenses.stdout, /MIT License.*commander/s);
  for (const ran of [help, command, nested, version, licenses]) assert.deepEqual([ran.code, ran.stderr], [0, ""]);
});

Deno.test("commands that only look start no queen and say that none runs", async () => {
  using at = emptyHome();
  const [status, json, list, health, down, start, stop] = await Promise.all([
    runKeeper(["status"], at),
    runKeeper(["daemon", "status", "--json"], at),
    runKeeper(["workers", "list"], at),
    runKeeper(["workers", "health"], at),
    runKeeper(["down"], at),
    runKeeper(["workers", "start", "--model", "builtin:tiny"], at),
    runKeeper(["workers", "stop", "worker-1"], at),
  ]);
  assert.match(status.stdout, /^No queen is running\./);
  assert.equal(JSON.parse(json.stdout).queen, null);
  assert.match(list.stdout, /^No workers\./);
  for (const ran of [status, json, list, health, down]) assert.equal(ran.code, 0);
  assert.match(start.stderr, /\(PERSISTENT_QUEEN_NEEDED\)\n\nSuggestion: .*rbee up/);
  assert.match(stop.stderr, /\(QUEEN_NOT_RUNNING\)/);
  assert.deepEqual([start.code, stop.code], [1, 1]);
  assert.deepEqual([...Deno.readDirSync(at.home)].filter((entry) => entry.name.startsWith("queen")), []);
});

Deno.test("a stale queen.json is nobody", async () => {
  using at = emptyHome();
  const stale = { pid: 999_999_9, url: "http://127.0.0.1:9", version: "0.1.0", mode: "persistent", started_unix: 1 };
  Deno.writeTextFileSync(`${at.home}/queen.json`, JSON.stringify(stale));
  assert.match((await runKeeper(["status"], at)).stdout, /^No queen is running/);
});

Deno.test("status and workers list show what the queen tells", async () => {
  const workers = [worker("worker-1"), worker("worker-22", { state: "loading", layers_loaded: 3, layers_total: 8 })];
  await using queen = new StandInQueen({ workers });
  const list = await runKeeper(["workers", "list"], queen);
  assert.equal(
    list.stdout,
    [
      "WORKER     NODE   STATE        MODEL         BACKEND  SLOTS     URL",
      "worker-1   local  idle         builtin:tiny  cpu:0    1/1 free  http://127.0.0.1:8081",
      "worker-22  local  loading 3/8  builtin:tiny  cpu:0    1/1 free  http://127.0.0.1:8081",
      "",
    ].join("\n"),
  );
  assert.deepEqual(
    JSON.parse((await runKeeper(["workers", "list", "--json"], queen)).stdout).workers[0].worker_id,
    "worker-1",
  );
  const status = await runKeeper(["status"], queen);
  assert.match(
    status.stdout,
    /^queen-rbee 0\.1\.0 at http:\/\/127\.0\.0\.1:\d+ \(pid \d+, stays, up for 1\.5 minutes\)\n\n.*worker-22/s,
  );
});

Deno.test("health marks who does not answer, and ends with 1 then", async () => {
  await using queen = new StandInQueen({
    workers: [worker("worker-1"), worker("worker-2", { state: "unhealthy", failed_health_checks: 2 })],
  });
  const ran = await runKeeper(["workers", "health"], queen);
  assert.equal(
    ran.stdout,
    "✓ worker-1 on local: idle, ready\n✗ worker-2 on local: unhealthy, not ready, 2 checks failed\n",
  );
  assert.equal(ran.code, 1);
});

Deno.test("workers start shows what happens and the worker; shutdown takes the id either way (S61)", async () => {
  await using queen = new StandInQueen({
    onStartWorker: async (out) => {
      const human = "🚀 Starting a worker";
      await out.write(
        encodeJsonEvent({ actor: "queen-rbee", action: "worker-spawn", target: "local", human }, "narration"),
      );
      await out.write(encodeJsonEvent(worker("worker-7")) + doneText);
    },
  });
  const start = await runKeeper(["workers", "start", "-m", "builtin:tiny", "--keep", "forever"], queen);
  assert.deepEqual(start, {
    ...{ code: 0, stdout: "✓ worker-7 holds builtin:tiny\n", stderr: "[queen-rbee] 🚀 Starting a worker\n" },
  });
  await runKeeper(["workers", "shutdown", "--id", "worker-7"], queen);
  const stop = await runKeeper(["workers", "stop", "worker-8"], queen);
  assert.match(stop.stdout, /^✓ Shutdown command sent to worker-8/);
  assert.deepEqual(queen.stopped, ["worker-7", "worker-8"]);
});

Deno.test("a wrong configuration is told with key, file and line before anything else (S56)", async () => {
  using at = emptyHome();
  const file = `${at.home}/my.toml`;
  Deno.writeTextFileSync(file, "[queen]\n\nprot = 8080\n");
  const ran = await runKeeper(["infer", "-p", "x"], { home: at.home, env: { RBEE_CONFIG: file } });
  assert.equal(ran.code, 1);
  assert.ok(ran.stderr.includes(`[queen] prot in ${file} line 3: this key is unknown (CONFIG_INVALID)`), ran.stderr);
});

Deno.test("RBEE_CONFIG wins over the user's file, and config path tells which is in use (S56)", async () => {
  using at = emptyHome();
  Deno.mkdirSync(`${at.home}/.config/rbee`, { recursive: true });
  const user = `${at.home}/.config/rbee/config.toml`;
  const custom = `${at.home}/custom.toml`;
  Deno.writeTextFileSync(user, "[queen]\nport = 8091\n");
  Deno.writeTextFileSync(custom, "[queen]\nport = 8092\n");
  const env = { RBEE_CONFIG: custom };
  assert.equal((await runKeeper(["config", "path"], at)).stdout, `${user}\n`);
  assert.equal((await runKeeper(["config", "path"], { home: at.home, env })).stdout, `${custom}\n`);
  const show = await runKeeper(["config", "show"], { home: at.home, env: { ...env, RBEE_HIVE_PORT: "9300" } });
  assert.match(show.stdout, new RegExp(`^port = 8092 {2}# ${custom}$`, "m"));
  assert.match(show.stdout, /^port = 9300 {2}# RBEE_HIVE_PORT$/m);
});

Deno.test("config init writes a file once and never over another one", async () => {
  using at = emptyHome();
  const path = `${at.home}/.config/rbee/config.toml`;
  assert.match((await runKeeper(["config", "init"], at)).stdout, /^✓ Wrote /);
  Deno.writeTextFileSync(path, "# mine\n");
  const again = await runKeeper(["config", "init"], at);
  assert.match(again.stdout, /was there already/);
  assert.equal(again.code, 0);
  assert.equal(Deno.readTextFileSync(path), "# mine\n");
});

Deno.test("a home that cannot be written is one clear error", async () => {
  using at = emptyHome();
  Deno.writeTextFileSync(`${at.home}/file`, "");
  const ran = await runKeeper(["infer", "-p", "x"], { home: at.home, env: { RBEE_HOME: `${at.home}/file` } });
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /\(HOME_NOT_WRITABLE\)\n\nSuggestion: Make the folder yours/);
});

Deno.test("logs are merged, rendered for people, raw with --json, and followed until Ctrl+C", async () => {
  using at = emptyHome();
  const logs = `${at.home}/logs`;
  const line = (second: number, program: string, message: string) =>
    JSON.stringify({ time: `2026-01-02T03:04:0${second}.000Z`, level: "info", program, message }) + "\n";
  Deno.mkdirSync(logs);
  Deno.writeTextFileSync(`${logs}/queen.log`, line(1, "queen-rbee", "one") + line(3, "queen-rbee", "three"));
  Deno.writeTextFileSync(`${logs}/worker-9.log`, line(2, "llm-worker-rbee", "two"));
  Deno.writeTextFileSync(`${logs}/queen.boot.log`, "not a log\n");
  const all = await runKeeper(["logs"], at);
  assert.deepEqual(all.stdout.match(/\] (one|two|three)/g), ["] one", "] two", "] three"]);
  assert.match(all.stdout, /INFO {2}\[worker-9\] two/);
  assert.equal(
    (await runKeeper(["logs", "--worker", "worker-9", "--json"], at)).stdout,
    line(2, "llm-worker-rbee", "two"),
  );
  assert.match((await runKeeper(["logs", "--worker", "worker-0"], at)).stderr, /\(WORKER_NOT_FOUND\)/);

  const child = startKeeper(["logs", "--follow", "--json", "-n", "1"], at);
  let text = "";
  const reading = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (t) => void (text += t) }),
  );
  await until(() => text === line(3, "queen-rbee", "three"));
  Deno.writeTextFileSync(`${logs}/queen.log`, line(4, "queen-rbee", "four"), { append: true });
  Deno.writeTextFileSync(`${logs}/worker-new.log`, line(5, "llm-worker-rbee", "five"));
  await until(() => text.includes("four") && text.includes("five"));
  child.kill("SIGINT");
  assert.equal((await child.status).code, 130);
  await reading;
  assert.match(await new Response(child.stderr).text(), /REQUEST_CANCELED/);
  const person = startKeeper(["logs", "--follow"], at);
  const told = new Response(person.stderr).text();
  for await (const _first of person.stdout.values({ preventCancel: true })) break;
  person.kill("SIGINT");
  assert.equal((await person.status).code, 130);
  assert.equal(await told, "\nCanceled.\n", "the shell's prompt begins a line");
  await person.stdout.cancel();
});
