import assert from "node:assert/strict";
import { RbeeError } from "../../protocol/error.ts";
import { inferenceEnd } from "../../protocol/inference.ts";
import { installResult, uninstallResult } from "../../protocol/install.ts";
import { progressEvent } from "../../protocol/progress.ts";
import { hiveRoutes } from "../../protocol/hive_routes.ts";
import { hiveStatus, workerGone } from "../../protocol/hive_status.ts";
import { queenRoutes } from "../../protocol/queen_routes.ts";
import { pathOf, type Route } from "../../protocol/routes.ts";
import { workerStatus } from "../../protocol/worker.ts";
import { workerRoutes } from "../../protocol/worker_routes.ts";
import { parse } from "../../protocol/validation.ts";
import { events, samples } from "./samples.ts";

const programs: Record<string, Record<string, Route>> = { queen: queenRoutes, hive: hiveRoutes, worker: workerRoutes };

for (const [program, routes] of Object.entries(programs)) {
  for (const [name, route] of Object.entries(routes)) {
    const sample = samples[program][name];
    if (!route.body && !route.answer) continue;
    Deno.test(`${program}: ${route.method} ${route.path} reads its golden sample and refuses bad ones`, () => {
      assert.ok(sample, `tests/contract/samples.ts has no sample for ${program}.${name}`);
      if (route.body) {
        assert.ok(sample.body !== undefined && sample.bad, "a route with a body needs a good and bad ones");
        const once = parse(route.body, sample.body);
        assert.deepEqual(parse(route.body, JSON.parse(JSON.stringify(once))), once);
        for (const bad of sample.bad) {
          assert.throws(
            () => parse(route.body!, bad),
            (e) => e instanceof RbeeError && e.code === "INVALID_REQUEST" && Array.isArray(e.details.errors),
            JSON.stringify(bad),
          );
        }
      }
      if (route.answer && sample.answer !== undefined) {
        const read = route.answer.parse(sample.answer);
        assert.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(sample.answer)));
      } else assert.ok(!route.answer, "the answer has no sample");
    });
  }
}

Deno.test("every route has a method and a path of its own within its program", () => {
  for (const routes of Object.values(programs)) {
    const seen = Object.values(routes).map((r) => `${r.method} ${r.path}`);
    assert.equal(new Set(seen).size, seen.length);
  }
});

Deno.test("every event on a stream reads its golden sample", () => {
  inferenceEnd.parse(events.end);
  hiveStatus.parse({ version: "0.1.0", machine: events.machine, workers: [events.worker] });
  workerGone.parse({
    worker_id: "worker-1",
    reason: "crashed",
    error: { code: "WORKER_CRASHED", message: "m", details: {} },
  });
  workerStatus.parse({
    worker_id: "worker-1",
    state: "busy",
    slots_total: 1,
    slots_available: 0,
    last_request_unix: 1,
  });
  progressEvent.parse({ stage: "loading_to_vram", layers_loaded: 12, layers_total: 32, vram_mb: 2048 });
  progressEvent.parse({ stage: "downloading", bytes_downloaded: 1048576, bytes_total: 5242880, speed_mbps: 45.2 });
  progressEvent.parse({ stage: "sending", file: "rbee-hive", bytes_sent: 1, bytes_total: 2, speed_mbps: 45.2 });
  assert.deepEqual(installResult.parse(events.installed), events.installed);
  assert.deepEqual(uninstallResult.parse(events.uninstalled), events.uninstalled);
  assert.ok(!progressEvent.safeParse({ stage: "loading_to_vram", layers_loaded: "12" }).success);
});

Deno.test("a path is filled and escaped, and a missing part is an error", () => {
  assert.equal(pathOf(queenRoutes.cancelTask, { params: { id: "a/b c" } }), "/v2/tasks/a%2Fb%20c");
  assert.equal(pathOf(hiveRoutes.logs, { query: { lines: 5, worker: undefined } }), "/v1/logs?lines=5");
  assert.throws(() => pathOf(queenRoutes.cancelTask), TypeError);
});
