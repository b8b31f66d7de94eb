import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import { call, type Peer } from "../runtime/call.ts";
import { fromFileUrl } from "../runtime/path.ts";
import { readRunning } from "../runtime/running.ts";

/** A real hive from source with its own home and port range. */
interface TestHive {
  readonly process: Deno.ChildProcess;
  readonly peer: Peer;
}

const root = fromFileUrl(new URL("../deno.json", import.meta.url));
const main = fromFileUrl(new URL("./main.ts", import.meta.url));
/** Below those of worlds (20000) and of outgoing connections (32768): a hive once found its port taken by one. */
let nextPort = 10_000 + Deno.pid % 400 * 20;

function command(home: string, args: string[], env: Record<string, string> = {}): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--no-prompt", "--config", root, "-P=hive", main, ...args],
    env: { RBEE_HOME: home, RBEE_CONFIG: `${home}/config.toml`, RBEE_HIVE_PORT: String(nextPort), ...env },
    cwd: home,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function makeHome(config = ""): Promise<string> {
  const home = await Deno.realPath(await Deno.makeTempDir({ prefix: "rbee-" }));
  nextPort += 20;
  const ports = `[workers]\nport_start = ${nextPort + 1}\nport_end = ${nextPort + 15}\n`;
  await Deno.writeTextFile(`${home}/config.toml`, ports + config);
  return home;
}

async function startHive(home: string): Promise<TestHive> {
  const process = command(home, ["daemon"]).spawn();
  process.stdout.cancel();
  process.stderr.cancel();
  await until(() => readRunning(`${home}/hive.json`)?.pid === process.pid, "a hive");
  const token = (await Deno.readTextFile(`${home}/hive.token`)).trim();
  return { process, peer: { program: "rbee-hive", base: readRunning(`${home}/hive.json`)!.url, token } };
}

async function until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 30_000; performance.now() < end;) {
    if (await isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Cannot wait any longer for ${what}`);
}

async function idleWorkers(hive: Peer, count: number): Promise<WorkerRecord[]> {
  let workers: WorkerRecord[] = [];
  await until(async () => {
    workers = (await call(hive, hiveRoutes.listWorkers)).workers;
    return workers.length === count && workers.every((one) => one.state === "idle");
  }, `${count} idle workers`);
  return workers;
}

function isAlive(pid: number | null): boolean {
  try {
    Deno.kill(pid!, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

const wish = { body: { model_ref: "builtin:tiny" } };
const names = (folder: string) => [...Deno.readDirSync(folder)].map((entry) => entry.name);

Deno.test("SIGTERM at a hive with three workers ends them all, clears the registry, keeps the catalog, exits 0", async () => {
  const home = await makeHome();
  const { process, peer } = await startHive(home);
  await Promise.all([1, 2, 3].map(() => call(peer, hiveRoutes.spawnWorker, wish)));
  const workers = await idleWorkers(peer, 3);
  assert.equal(new Set(workers.map((one) => one.port)).size, 3);
  assert.match(await (await fetch(`${peer.base}/metrics`)).text(), /rbee_hive_workers_total\{state="idle"\} 3/);
  process.kill("SIGTERM");
  assert.deepEqual((({ code, signal }) => ({ code, signal }))(await process.status), { code: 0, signal: null });
  assert.deepEqual(workers.filter((one) => isAlive(one.pid)), []);
  assert.deepEqual(names(`${home}/workers`), []);
  assert.equal(readRunning(`${home}/hive.json`), undefined);
  const again = await startHive(home);
  const { models } = await call(again.peer, hiveRoutes.models);
  assert.deepEqual(models.map((one) => [one.provider, one.reference]), [["builtin", "tiny"]]);
  assert.deepEqual(await call(again.peer, hiveRoutes.listWorkers), { workers: [] });
  await call(again.peer, hiveRoutes.shutdown);
  assert.equal((await again.process.status).code, 0);
  await Deno.remove(home, { recursive: true });
});

Deno.test("a SIGKILLed hive leaves no worker, and the next one removes what lies around", async () => {
  const home = await makeHome();
  const { process, peer } = await startHive(home);
  await call(peer, hiveRoutes.spawnWorker, wish);
  const [{ pid }] = await idleWorkers(peer, 1);
  process.kill("SIGKILL");
  await process.status;
  await until(() => !isAlive(pid), "the worker's end");
  assert.equal(names(`${home}/workers`).length, 1);
  const again = await startHive(home);
  assert.deepEqual(names(`${home}/workers`), []);
  again.process.kill("SIGTERM");
  await again.process.status;
  await Deno.remove(home, { recursive: true });
});

Deno.test("probe and preflight refuse what does not fit, with numbers, and the hive lives on", async () => {
  const probe = '[hive]\nprobe = ["/bin/cat", "probe.json"]\n';
  const home = await makeHome(probe);
  await Deno.writeTextFile(`${home}/probe.json`, '{"memory_available_bytes": 1048576}');
  const { process, peer } = await startHive(home);
  await assert.rejects(call(peer, hiveRoutes.spawnWorker, wish), (error: RbeeError) => {
    const { required, available } = error.details;
    assert.deepEqual([error.code, error.status, available], ["VRAM_EXHAUSTED", 503, 1]);
    assert.ok(Number(required) > 100, "the worker's program counts as well");
    return error.message === `Cannot load the model: need ${required} MB, have 1 MB`;
  });
  const metal = { body: { ...wish.body, backend: "metal" as const } };
  await assert.rejects(
    call(peer, hiveRoutes.spawnWorker, metal),
    (error: RbeeError) => error.code === "BACKEND_UNAVAILABLE" && error.message.includes("metal"),
  );
  await Deno.writeTextFile(`${home}/probe.json`, "nonsense");
  await assert.rejects(
    call(peer, hiveRoutes.spawnWorker, wish),
    (error: RbeeError) => error.code === "CONFIG_INVALID",
  );
  assert.equal((await call(peer, hiveRoutes.health)).status, "alive");
  process.kill("SIGTERM");
  assert.equal((await process.status).code, 0);
  await Deno.remove(home, { recursive: true });
});

Deno.test("what keeps a hive from starting is one clear message with its code and exit code 1", async () => {
  const home = await makeHome();
  const { process } = await startHive(home);
  const refused = async (args: string[], env: Record<string, string> = {}) => {
    const { code, stderr } = await command(home, ["daemon", ...args], env).output();
    return { code, text: new TextDecoder().decode(stderr) };
  };
  const second = await refused([]);
  assert.equal(second.code, 1);
  assert.match(second.text, /❌ Error: .*another hive has it open \(CATALOG_UNAVAILABLE\)/);
  const other = await makeHome();
  nextPort -= 20;
  const taken = await refused([], { RBEE_HOME: other });
  assert.match(taken.text, new RegExp(`port ${nextPort} on 127.0.0.1 is taken \\(PORT_TAKEN\\)`));
  const open = await refused(["--listen", "0.0.0.0"], { RBEE_HOME: other });
  assert.match(open.text, /TOKEN_REQUIRED/);
  const status = await command(home, ["status"]).output();
  assert.deepEqual([status.code, /No workers/.test(new TextDecoder().decode(status.stdout))], [0, true]);
  process.kill("SIGTERM");
  await process.status;
  assert.equal((await command(home, ["status"]).output()).code, 1);
  assert.equal((await command(home, ["daemon", "--bogus"]).output()).code, 2);
  for (const folder of [home, other]) await Deno.remove(folder, { recursive: true });
});
