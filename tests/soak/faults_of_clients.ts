/**
 * Clients that come at once, and clients that vanish.
 *
 * @module
 */
import assert from "node:assert/strict";
import { inferMidStream, oneWorkerIs, steadyModel } from "../support/flows.ts";
import { pause } from "../support/eventually.ts";
import type { Program } from "../support/program.ts";
import { RawConnection } from "../support/raw_http.ts";
import type { World } from "../support/world.ts";
import { aWhile, type Fault, type Stage, type Struck } from "./fault.ts";
import { up } from "./faults_of_signals.ts";

/** A slot must be free within 1 s; a busy machine gets three times as long. */
const slotMs = 3_000;

/** Returns these faults. */
export function clientFaults(): Fault[] {
  const threads = { workers: { threads: 1 } };
  return [
    {
      name: "two-infers",
      what: "two infers at once on a cold machine: one queen, one hive, one worker, both succeed",
      persistent: false,
      play: twoInfers,
    },
    {
      name: "client-vanishes-early",
      what: "a client that is gone before its task has a worker",
      persistent: true,
      config: threads,
      play: (stage) => vanish(stage, false),
    },
    {
      name: "client-vanishes",
      what: "a client that is gone in the middle of its answer",
      persistent: true,
      config: threads,
      play: (stage) => vanish(stage, true),
    },
    {
      name: "client-stops-reading",
      what: "a keeper that is stopped by SIGSTOP for a while, then canceled",
      persistent: false,
      config: threads,
      play: stopReading,
    },
  ];
}

async function twoInfers({ world, chance }: Stage): Promise<Struck> {
  const model = await steadyModel();
  const start = () => {
    const tokens = String(chance.between(5, 300));
    return world.start("rbee", [
      "infer",
      "--model",
      model,
      "--prompt",
      "hello",
      "--ignore-eos",
      "--max-tokens",
      tokens,
    ]);
  };
  const first = start();
  await aWhile(chance, 300);
  const programs = [first, start()];
  const seen = await everSeen(world, programs);
  const exits = await Promise.all(programs.map((program) => program.ends(30_000)));
  const at = performance.now();
  for (const { code, stdout, stderr } of exits) {
    assert.equal(code, 0, stderr);
    assert.match(stdout, /\S/);
  }
  // One that ended before the other had begun takes its queen along: then the other rightly starts its own.
  const overlapped = exits[0].durationMs > 300 && programs.every((program) => program.stdout !== "");
  if (overlapped) assert.deepEqual(seen, { "queen-rbee": 1, "rbee-hive": 1, "llm-worker-rbee": 1 }, "ever seen");
  return { at, exits };
}

/** Returns how many processes of each daemon were ever there while the programs ran. */
async function everSeen(world: World, programs: readonly Program[]): Promise<Record<string, number>> {
  const seen = { "queen-rbee": new Set(), "rbee-hive": new Set(), "llm-worker-rbee": new Set() };
  while (programs.some((program) => program.isRunning)) {
    for (const name of ["queen-rbee", "rbee-hive", "llm-worker-rbee"] as const) {
      for (const { pid } of world.processes(name)) seen[name].add(pid);
    }
    await pause(50);
  }
  return Object.fromEntries(Object.entries(seen).map(([name, pids]) => [name, pids.size]));
}

async function vanish({ world, chance }: Stage, midStream: boolean): Promise<Struck> {
  await up(world);
  const { port } = new URL(world.queenUrl());
  const connection = await RawConnection.open(Number(port));
  await connection.send({
    method: "POST",
    path: "/v2/tasks",
    headers: { host: `127.0.0.1:${port}`, "content-type": "application/json" },
    body: JSON.stringify({ model: await steadyModel(), prompt: "hello", max_tokens: 3_500, ignore_eos: true }),
  });
  if (midStream) await readUntil(connection, /"index":3\b/);
  await aWhile(chance, midStream ? 800 : 400);
  const at = performance.now();
  connection[Symbol.dispose]();
  if (midStream) return { at, exits: [], left: () => tasksAndSlots(world), withinMs: slotMs };
  return { at, exits: [], left: () => tasksAndSlots(world) };
}

async function readUntil(connection: RawConnection, pattern: RegExp): Promise<void> {
  for (let seen = ""; !pattern.test(seen);) {
    const piece = await connection.read();
    assert.notEqual(piece, "", `the stream ended early:\n${seen}`);
    seen += piece;
  }
}

/** What the queen still does for a client that is gone: tasks that wait or run, slots that are taken. */
async function tasksAndSlots(world: World): Promise<string[]> {
  const { text } = await world.call({ who: "queen" }, "GET /metrics");
  const gauges = ["rbee_queen_tasks_waiting", "rbee_queen_tasks_running", "rbee_queen_slots_held"];
  const held = gauges.filter((name) => !new RegExp(`^${name} 0$`, "m").test(text));
  const { json } = await world.call({ who: "queen" }, "GET /v2/workers/list");
  const workers = json.workers as unknown as { worker_id: string; state: string }[];
  return [...held, ...workers.filter((w) => w.state === "busy").map((w) => `slot of ${w.worker_id}`)];
}

async function stopReading({ world, chance }: Stage): Promise<Struck> {
  const keeper = await inferMidStream(world, { tokens: 4_000 });
  await oneWorkerIs(world, "busy", 2_000);
  keeper.signal("SIGSTOP");
  await aWhile(chance, 2_000);
  keeper.signal("SIGCONT");
  await aWhile(chance, 300);
  keeper.interrupt();
  const finished = await keeper.ends(5_000);
  const at = performance.now();
  assert.ok([0, 130].includes(finished.code), `exit code ${finished.code}: ${finished.stderr}`);
  return { at, exits: [finished] };
}
