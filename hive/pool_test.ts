import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { workerRoutes } from "../protocol/worker_routes.ts";
import { workerKey } from "../runtime/auth.ts";
import { call } from "../runtime/call.ts";
import { makeBench } from "./testdata/pool_bench.ts";

const wish = { model_ref: "builtin:tiny" };
const isIdle = (workers: { state: string }[]) => workers.length > 0 && workers.every((one) => one.state === "idle");
const codeOf = (code: string) => (error: unknown) => (error as RbeeError).code === code;
const names = (folder: string) => [...Deno.readDirSync(folder)].map((entry) => entry.name);

/** Returns the id of a worker that has been started besides the known ones, registered or not. */
async function startedAfter(folder: string, known: string[]): Promise<string> {
  for (let n = 0; n < 500; n++) {
    const made = names(folder).includes("workers") ? names(`${folder}/workers`) : [];
    const found = made.find((name) => !known.includes(name));
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("Cannot see a worker's folder");
}

function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

Deno.test("a worker is answered in state loading, becomes idle, and is stopped with nothing left of it", async () => {
  await using bench = await makeBench({ worker: ["--load-ms", "300"] });
  const { pool, folder } = bench;
  const spawned = await pool.spawn({ ...wish, keep_s: 60 });
  assert.match(spawned.worker_id, /^worker-[0-9a-f]{8}$/);
  assert.deepEqual([spawned.state, spawned.url], ["loading", `http://127.0.0.1:${bench.portStart}`]);
  assert.equal(pool.list()[0].slots_available, 0);
  const inside = `${folder}/workers/${spawned.worker_id}`;
  assert.equal(Deno.statSync(inside).mode! & 0o777, 0o700);
  assert.ok(names(inside).includes("tiny.gguf"));
  const [record] = await bench.until(isIdle);
  assert.deepEqual([record.slots_available, record.keep_s, record.ctx], [1, 60, 512]);
  assert.deepEqual(bench.calibrations, [["cpu:tiny", 3]]);
  const log = await Deno.readTextFile(`${folder}/${spawned.worker_id}.log`);
  assert.ok(!log.includes(workerKey(bench.hive.token!, spawned.worker_id)), "the key is in no argument");
  assert.ok(log.includes("--model ./tiny.gguf --model-ref builtin:tiny --backend cpu --device 0"));
  await pool.stop(spawned.worker_id, "stopped");
  assert.deepEqual(await bench.untilGone(), [{ worker_id: spawned.worker_id, reason: "stopped" }]);
  assert.deepEqual([pool.list(), names(`${folder}/workers`), isAlive(record.pid!)], [[], [], false]);
  await assert.rejects(pool.stop(spawned.worker_id, "stopped"), codeOf("WORKER_NOT_FOUND"));
});

Deno.test("a crash is noticed at once with pid and last error, and the next worker can have its port", async () => {
  await using bench = await makeBench({ worker: ["--die-ms", "400"] });
  const { worker_id } = await bench.pool.spawn(wish);
  const { pid } = bench.pool.list()[0];
  await bench.untilGone();
  const [gone] = bench.gone;
  assert.deepEqual([gone.worker_id, gone.reason, gone.error?.code], [worker_id, "crashed", "WORKER_CRASHED"]);
  assert.deepEqual([gone.error?.details.pid, gone.error?.details.exit_code], [pid, 7]);
  assert.match(String(gone.error?.details.last_error), /boom/);
  assert.equal((await bench.pool.spawn(wish)).url, `http://127.0.0.1:${bench.portStart}`);
});

Deno.test("a SIGKILLed worker is gone within a moment, and the hint speaks of memory", async () => {
  await using bench = await makeBench();
  await bench.pool.spawn(wish);
  const [{ pid }] = await bench.until(isIdle);
  const killedAt = performance.now();
  Deno.kill(pid!, "SIGKILL");
  await bench.untilGone();
  assert.ok(performance.now() - killedAt < 1_000);
  assert.deepEqual([bench.gone[0].reason, bench.gone[0].error?.code], ["crashed", "WORKER_CRASHED"]);
  assert.match(bench.gone[0].error!.hint!, /memory/);
});

Deno.test("a failed load carries the worker's own error", async () => {
  await using bench = await makeBench({ worker: ["--fail", "MODEL_INCOMPATIBLE"] });
  await bench.pool.spawn(wish);
  await bench.untilGone();
  const [gone] = bench.gone;
  assert.deepEqual([gone.reason, gone.error?.code, gone.error?.message, gone.error?.details.reason], [
    "load-failed",
    "MODEL_INCOMPATIBLE",
    "Cannot load the model: as told",
    "told",
  ]);
});

Deno.test("a worker that never calls back fails the spawn within its time and leaves nothing", async () => {
  await using bench = await makeBench({ worker: ["--silent"], readyMs: 700 });
  await assert.rejects(bench.pool.spawn(wish), (error: RbeeError) => {
    assert.equal(error.code, "WORKER_START_FAILED");
    return /0\.7 s/.test(error.message);
  });
  assert.deepEqual([bench.pool.list(), names(`${bench.folder}/workers`), bench.gone], [[], [], []]);
});

Deno.test("a worker that finds its port taken is tried on the next ones", async () => {
  await using bench = await makeBench({ worker: ["--port-taken", "2"] });
  assert.equal((await bench.pool.spawn(wish)).url, `http://127.0.0.1:${bench.portStart + 2}`);
});

Deno.test("a callback between the time-out and the kill is refused as too late, and no worker counts as gone", async () => {
  await using bench = await makeBench({ worker: ["--silent"], readyMs: 700 });
  let over = false;
  const failed = assert.rejects(bench.pool.spawn(wish), codeOf("WORKER_START_FAILED")).finally(() => over = true);
  const worker_id = await startedAfter(bench.folder, []);
  const refusals: string[] = [];
  while (!over) {
    // in time it would be refused for its model, so that the worker never counts as registered
    const body = { worker_id, url: "http://127.0.0.1:1", model_ref: "another", backend: "cpu" as const, device: 0 };
    assert.throws(() => bench.pool.ready(body, () => true), (error: RbeeError) => refusals.push(error.message) > 0);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await failed;
  assert.match(refusals[0], /check url, model_ref/);
  assert.ok(refusals.some((message) => /is being ended/.test(message)), refusals.at(-1));
  assert.deepEqual(bench.gone, []);
});

Deno.test("a worker's key registers that worker and no other one", async () => {
  await using bench = await makeBench({ worker: ["--silent"], readyMs: 5_000 });
  const { hive, pool, folder, portStart } = bench;
  pool.spawn(wish).catch(() => {}); // never registered: it ends with the bench
  const other = await startedAfter(folder, []);
  const spawned = pool.spawn(wish);
  const worker_id = await startedAfter(folder, [other]);
  const body = { worker_id, url: `http://127.0.0.1:${portStart + 1}`, ...wish, backend: "cpu" as const, device: 0 };
  const register = (id: string) =>
    call({ ...hive, token: workerKey(hive.token!, id) }, hiveRoutes.workerReady, { body });
  await assert.rejects(register(other), codeOf("INVALID_API_KEY"));
  assert.deepEqual(pool.list(), []);
  assert.equal((await register(worker_id)).message, "registered");
  assert.equal((await spawned).worker_id, worker_id);
});

Deno.test("two spawns at once get two ports", async () => {
  await using bench = await makeBench();
  const both = await Promise.all([bench.pool.spawn(wish), bench.pool.spawn(wish)]);
  assert.equal(new Set(both.map((one) => one.url)).size, 2);
});

Deno.test("an idle worker ends after its time and not before, health checks notwithstanding", async () => {
  await using bench = await makeBench({ idleMs: 1_200, healthMs: 200 });
  const { worker_id, url } = await bench.pool.spawn(wish);
  await bench.until(isIdle);
  const key = workerKey(bench.hive.token!, worker_id);
  await call({ program: "worker", base: url, token: key }, workerRoutes.cancel, { params: { id: "600" } });
  const idleAt = performance.now();
  await bench.untilGone();
  const idledMs = performance.now() - idleAt;
  assert.ok(idledMs >= 1_150 && idledMs < 1_200 + 1_000 + 1_000, `${idledMs}`);
  assert.deepEqual(bench.gone, [{ worker_id, reason: "idle" }]);
});

Deno.test("a worker that is kept for ever does not idle out", async () => {
  await using bench = await makeBench({ idleMs: 300 });
  await bench.pool.spawn({ ...wish, keep_s: 0 });
  await bench.until(isIdle);
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  assert.equal(bench.pool.list().length, 1);
});

Deno.test("a load that stands still is ended with the layers it reached, even when the process is stopped", async () => {
  await using bench = await makeBench({ worker: ["--stuck", "28"], loadMs: 1_500 });
  await bench.pool.spawn(wish);
  const [{ pid }] = await bench.until(([worker]) => worker.layers_loaded === 28);
  Deno.kill(pid!, "SIGSTOP");
  await bench.untilGone();
  const [{ reason, error }] = bench.gone;
  assert.deepEqual([reason, error?.code, error?.details.layers_loaded, error?.details.layers_total], [
    "timeout",
    "LOADING_TIMEOUT",
    28,
    32,
  ]);
  assert.match(error!.message, /stuck at 28\/32 layers/);
  assert.equal(isAlive(pid!), false);
});

Deno.test("a worker that ignores everything is killed when the ladder ends", async () => {
  await using bench = await makeBench({ worker: ["--deaf"], drainMs: 300 });
  const { worker_id } = await bench.pool.spawn(wish);
  await bench.until(isIdle);
  const stopped = bench.pool.stop(worker_id, "stopped");
  await bench.until(([worker]) => worker.state === "draining");
  await stopped;
  assert.deepEqual(await bench.untilGone(), [{ worker_id, reason: "stopped" }]);
});

Deno.test("all workers end at once and are counted, and none is started meanwhile", async () => {
  await using bench = await makeBench();
  await Promise.all([1, 2, 3].map(() => bench.pool.spawn(wish)));
  const pids = (await bench.until(isIdle)).map((worker) => worker.pid!);
  const all = bench.pool.stopAll({ drain: true });
  await assert.rejects(bench.pool.spawn(wish), codeOf("SHUTTING_DOWN"));
  await all;
  assert.deepEqual([bench.pool.list(), pids.filter(isAlive)], [[], []]);
  assert.deepEqual((await bench.untilGone(3)).map((one) => one.reason), ["stopped", "stopped", "stopped"]);
  assert.ok(bench.narration.some((line) => line.includes("(3/3)")));
});

Deno.test("a stuck worker is unhealthy after a check, then removed and killed", async () => {
  await using bench = await makeBench({ worker: ["--hang-ms", "1000"], healthMs: 300 });
  await bench.pool.spawn(wish);
  const [{ pid }] = await bench.until(isIdle);
  await bench.until(([worker]) => worker.state === "unhealthy" && worker.slots_available === 0);
  Deno.kill(pid!, "SIGSTOP"); // a stuck process, and not only a stuck route
  const [{ reason, error }] = await bench.untilGone();
  assert.deepEqual([reason, error?.code, error?.details.failed_health_checks], ["unhealthy", "WORKER_UNHEALTHY", 3]);
  assert.equal(isAlive(pid!), false);
});

Deno.test("the routes: exact empty list, callback of a stranger, unknown worker, logs that stay in their folder", async () => {
  await using bench = await makeBench();
  const { hive } = bench;
  assert.deepEqual(await call(hive, hiveRoutes.listWorkers), { workers: [] });
  const health = await call({ ...hive, token: undefined }, hiveRoutes.health);
  assert.deepEqual([health.status, health.api_version], ["alive", "v1"]);
  await assert.rejects(call(hive, hiveRoutes.ready), codeOf("TEMPORARY_UNAVAILABLE"));
  await assert.rejects(call({ ...hive, token: "wrong" }, hiveRoutes.listWorkers), codeOf("INVALID_API_KEY"));
  const stranger = { worker_id: "worker-x", url: "http://127.0.0.1:1", model_ref: "m", backend: "cpu" as const };
  const body = { ...stranger, device: 0 };
  await assert.rejects(call(hive, hiveRoutes.workerReady, { body }), codeOf("WORKER_NOT_FOUND"));
  await assert.rejects(
    call(hive, hiveRoutes.shutdownWorker, { params: { id: "worker-x" } }),
    codeOf("WORKER_NOT_FOUND"),
  );
  for (const worker of ["../models", "worker-00000000", "..%2Fhive"]) {
    await assert.rejects(call(hive, hiveRoutes.logs, { query: { worker } }), codeOf("WORKER_NOT_FOUND"));
  }
  await assert.rejects(
    call(hive, hiveRoutes.lease, { body: { queen_id: "", host: "h", version: "1" } }),
    (e: RbeeError) => {
      return e.code === "INVALID_REQUEST";
    },
  );
  assert.deepEqual((await call(hive, hiveRoutes.backends)).backends, [{ name: "cpu", available: true, devices: 1 }]);
  assert.equal((await call(hive, hiveRoutes.resources)).ram_total_gb, 7.45);
});

Deno.test("the hive is ready once a worker is, and its metrics count workers by state", async () => {
  await using bench = await makeBench();
  await bench.pool.spawn(wish);
  await bench.until(isIdle);
  assert.deepEqual(await call(bench.hive, hiveRoutes.ready), { status: "ready", workers_total: 1, workers_ready: 1 });
  const text = await (await fetch(`${bench.hive.base}/metrics`)).text();
  assert.match(text, /rbee_hive_workers_total\{state="idle"\} 1/);
  assert.match(text, /rbee_hive_workers_failed_health_checks 0/);
});
