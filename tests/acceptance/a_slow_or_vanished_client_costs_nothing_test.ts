import assert from "node:assert/strict";
import { withinTime } from "../support/eventually.ts";
import { inferMidStream, inWorld, nextInferWorks, oneWorkerIs, steadyModel } from "../support/flows.ts";
import { processOf, send } from "../support/processes.ts";
import { RawConnection } from "../support/raw_http.ts";
import { World } from "../support/world.ts";

/** A world with a queen that stays. */
async function up(world: World): Promise<void> {
  world.configure({ workers: { threads: 1 } });
  const { code, stderr } = await world.run("rbee", ["up"]);
  assert.equal(code, 0, stderr);
}

/** Opens a task's stream by hand and returns the connection when tokens come. */
async function rawStream(world: World, tokens: number): Promise<RawConnection> {
  const port = Number(new URL(world.queenUrl()).port);
  const connection = await RawConnection.open(port);
  const body = JSON.stringify({ model: await steadyModel(), prompt: "hello", max_tokens: tokens, ignore_eos: true });
  await connection.send({
    method: "POST",
    path: "/v2/tasks",
    headers: { host: `127.0.0.1:${port}`, "content-type": "application/json" },
    body,
  });
  let seen = "";
  const tokensCome = async () => {
    while (!/"index":3\b/.test(seen)) {
      const piece = await connection.read();
      assert.notEqual(piece, "", `the stream ended early:\n${seen}`);
      seen += piece;
    }
  };
  try {
    await withinTime(tokensCome(), { withinMs: 10_000, what: "tokens come" });
  } catch (error) {
    connection[Symbol.dispose]();
    throw new Error(`${error instanceof Error ? error.message : error}; seen:\n${seen}`);
  }
  return connection;
}

Deno.test("a client that vanishes frees its slot within 1 s", () =>
  inWorld(async (world) => {
    await up(world);
    for (let round = 1; round <= 2; round++) {
      const connection = await rawStream(world, 3_500);
      await oneWorkerIs(world, "busy", 2_000);
      connection[Symbol.dispose]();
      await oneWorkerIs(world, "idle", 1_000);
    }
    await nextInferWorks(world);
  }, () => new World()));

Deno.test("a client that closes its half gets its whole answer, or is taken for one that left: the slot is free", () =>
  inWorld(async (world) => {
    await up(world);
    using connection = await rawStream(world, 1_000);
    const closedAt = performance.now();
    await connection.closeOurHalf();
    const rest = await connection.readToEnd(10_000).catch(() => "");
    if (!rest.includes("[DONE]")) assert.ok(performance.now() - closedAt < 1_500, "its end came at once");
    await oneWorkerIs(world, "idle", 1_000);
    await nextInferWorks(world);
  }, () => new World()));

/** Resident memory of a process in megabytes. */
function residentMb(pid: number): number {
  const match = Deno.readTextFileSync(`/proc/${pid}/status`).match(/VmRSS:\s+(\d+) kB/);
  return Number(match?.[1]) / 1024;
}

Deno.test("a client that reads nothing is back-pressured, then ended, and no memory grows", () =>
  inWorld(async (world) => {
    await up(world);
    const keeper = await inferMidStream(world, { tokens: 2_500 });
    await oneWorkerIs(world, "busy", 2_000);
    const before = new Map([world.hivePid(), world.queenPid()].map((pid) => [pid, residentMb(pid)]));
    send(keeper.pid, "SIGSTOP");
    // Whether the kernel's buffers take the rest of the answer or the stream is ended for good: the slot comes back.
    const { pid: worker } = await oneWorkerIs(world, "idle", 20_000);
    for (const [pid, mb] of before) {
      assert.ok(processOf(pid), "it lives on");
      assert.ok(residentMb(pid) < mb + 60, `${mb} MB before, ${residentMb(pid)} MB after`);
    }
    // Weights and the context's memory are touched as the answer grows; they are bounded by what loading named.
    assert.ok(residentMb(worker) < 400, `${residentMb(worker)} MB`);
    send(keeper.pid, "SIGCONT");
    const { code } = await keeper.ends(5_000);
    assert.ok([0, 1].includes(code));
    await nextInferWorks(world);
  }, () => new World()));
