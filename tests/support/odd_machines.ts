/**
 * Machines that are not as they should be: wrong programs, no room, a wrong clock, somebody else's.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { assertOneClearError } from "./flows.ts";
import type { FaultRun, FaultStage, PlayedFault } from "./node_fault_runs.ts";
import { pause } from "./eventually.ts";
import { isAlive } from "./processes.ts";
import type { Finished } from "./program.ts";
import { executables } from "./world.ts";

/** From Debian's libfaketime. */
const faketime = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketimeMT.so.1`;
const clockFile = "/run/clock";
const hour = 3_600;
const diskBytes = 64 << 20;

/** Everything of a login there has the clock that the file says; timers run as ever. */
const withClock = {
  LD_PRELOAD: faketime,
  FAKETIME_TIMESTAMP_FILE: clockFile,
  FAKETIME_CACHE_DURATION: "1",
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
};

/** All of them. */
export const oddMachines: readonly PlayedFault[] = [
  {
    name: "wrong-executable",
    what: "a wrong executable",
    promise: "it is told with what mends it, and leaves nothing",
    play: wrongExecutable,
  },
  {
    name: "full-disk",
    what: "a full disk",
    promise: "it is told, leaves nothing, and is mended by room",
    host: { diskBytes },
    play: fullDisk,
  },
  {
    name: "filling-disk",
    what: "a disk that fills up mid-stream",
    promise: "it ends no answer and no daemon",
    host: { diskBytes },
    play: fillingDisk,
  },
  ...[hour, -hour].map((seconds): PlayedFault => ({
    name: seconds > 0 ? "clock-ahead" : "clock-behind",
    what: `a clock that is an hour ${seconds > 0 ? "ahead" : "behind"}, and jumps by two mid-stream`,
    promise: "it changes nothing",
    host: { env: withClock },
    play: (stage) => otherTime(stage, seconds),
  })),
  {
    name: "two-queens",
    what: "two queens",
    promise: "the second is refused while the first is there, and disturbs nothing",
    play: twoQueens,
  },
];

/** A run after which nothing has to go: its time is that until the slowest command has told. */
const told = (exits: readonly Finished[]): FaultRun => ({
  goneMs: Math.max(...exits.map(({ durationMs }) => durationMs)),
  exits,
});

/** A run that nobody is told of. */
const untold = (exits: readonly Finished[]): FaultRun => ({ goneMs: 0, exits });

/** A hive that is none: of another kind of machine, another program, or cut off. */
async function wrongExecutable({ nodes, node }: FaultStage): Promise<FaultRun> {
  const there = join(node.host.home, "other/current");
  Deno.mkdirSync(there, { recursive: true });
  const forms = {
    "of another kind of machine": aarch64(),
    "another program": Deno.readFileSync("/bin/true"),
    "cut off": Deno.readFileSync(join(executables, "rbee-hive")).slice(0, 50_000_000),
  };
  await node.installedAt("~/other");
  const exits = [];
  for (const [form, bytes] of Object.entries(forms)) {
    Deno.writeFileSync(join(there, "rbee-hive"), bytes, { mode: 0o755 });
    const finished = await node.infer();
    assertOneClearError(finished, {
      code: "HIVE_START_FAILED",
      says: new RegExp(`rbee setup install --node ${node.name}`),
    });
    assert.deepEqual(node.leftovers(), [], form);
    await nodes.nothingLeft(node.world);
    exits.push(finished);
  }
  await node.installedAt("~/rbee");
  await node.nextInferWorks();
  return told(exits);
}

/** The first bytes of a program for another processor. */
function aarch64(): Uint8Array {
  const machineAt = 18;
  const header = Deno.readFileSync("/bin/true").slice(0, 4_096);
  header[machineAt] = 0xb7;
  return header;
}

async function fullDisk({ node }: FaultStage): Promise<FaultRun> {
  await node.host.fillDisk();
  const finished = await node.infer();
  assertOneClearError(finished, { code: "DISK_FULL", says: new RegExp(node.name) });
  assert.deepEqual(node.leftovers(), []);
  await node.host.freeDisk();
  await node.nextInferWorks();
  return told([finished]);
}

async function fillingDisk({ node, waitMs = 0 }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  const keeper = await node.inferMidStream({ tokens: 200 });
  const before = node.host.rbeeProcesses().map(({ pid }) => pid);
  await pause(waitMs);
  await node.host.fillDisk();
  const finished = await keeper.ends(30_000);
  assert.equal(finished.code, 0, finished.stderr);
  await node.nextInferWorks();
  assert.deepEqual(before.filter((pid) => !isAlive(pid)), [], "the daemons live on");
  await node.host.freeDisk();
  await node.nextInferWorks();
  return untold([finished]);
}

/** A clock that is off when the hive starts, and jumps to the other side in the middle of an answer. */
async function otherTime({ node, waitMs = 0 }: FaultStage, seconds: number): Promise<FaultRun> {
  const { host, world } = node;
  const setClock = async (to: number) =>
    void await host.exec(["sh", "-c", `echo ${to < 0 ? "" : "+"}${to} >${clockFile}`]);
  await setClock(seconds);
  await world.up();
  const keeper = await node.inferMidStream({ tokens: 300 });
  const hive = node.one("rbee-hive").pid;
  const { started_unix } = JSON.parse(Deno.readTextFileSync(join(host.home, ".rbee/hive.json")));
  assert.ok(Math.abs(started_unix - Date.now() / 1_000 - seconds) < 600, `its clock is off: ${started_unix}`);
  await pause(waitMs);
  await setClock(-seconds);
  const finished = await keeper.ends(30_000);
  assert.equal(finished.code, 0, finished.stderr);
  await node.nextInferWorks();
  assert.equal(node.one("rbee-hive").pid, hive, "it lives on: its lease knows no clock");
  return untold([finished]);
}

/** Whoever comes second is told whose the machine is; it is free when the first has gone. */
async function twoQueens({ nodes, node }: FaultStage): Promise<FaultRun> {
  const theirs = await nodes.secondOf(node);
  const refused = async () => {
    const finished = await theirs.infer();
    assertOneClearError(finished, { code: "HIVE_LEASED", says: new RegExp(Deno.hostname()) });
    return finished;
  };
  await node.world.up();
  const keeper = await node.inferMidStream({ tokens: 200 });
  const exits = [await refused()];
  const { code, stderr } = await keeper.ends(30_000);
  assert.equal(code, 0, stderr);
  exits.push(await refused());
  await node.nextInferWorks();
  await nodes.down(node.world);
  await theirs.nextInferWorks();
  await nodes.nothingLeft(theirs.world);
  return told(exits);
}
