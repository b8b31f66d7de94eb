import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { canRunCluster, clusterMissing } from "../support/cluster.ts";
import type { HostOptions } from "../support/cluster_folder.ts";
import { faultRuns } from "../support/faults.ts";
import { assertOneClearError } from "../support/flows.ts";
import { type NodeCluster, onNodes } from "../support/nodes.ts";
import { isAlive } from "../support/processes.ts";
import { executables } from "../support/world.ts";

/** From Debian's libfaketime. */
const faketime = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketimeMT.so.1`;
const clockFile = "/run/clock";
const hour = 3_600;

/** Everything of a login there has the clock that the file says; timers run as ever. */
const withClock = {
  LD_PRELOAD: faketime,
  FAKETIME_TIMESTAMP_FILE: clockFile,
  FAKETIME_CACHE_DURATION: "1",
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
};

interface Oddity {
  readonly host: HostOptions;
  readonly claim: string;
  readonly play: (nodes: NodeCluster, name: string) => Promise<void>;
}

const oddities: readonly Oddity[] = [
  {
    host: { name: "wrong-executable" },
    claim: "a wrong executable is told with what mends it, and leaves nothing",
    play: wrongExecutable,
  },
  { host: { name: "full-disk", diskBytes: 64 << 20 }, claim: "a full disk is told, and mended by room", play: fullDisk },
  {
    host: { name: "filling-disk", diskBytes: 64 << 20 },
    claim: "a disk that fills up mid-stream ends no answer and no daemon",
    play: fillingDisk,
  },
  {
    host: { name: "other-time", env: withClock },
    claim: "a clock that is off by an hour, or jumps by two, changes nothing",
    play: otherTime,
  },
  {
    host: { name: "two-queens" },
    claim: "of two queens the second is refused while the first is there, and disturbs nothing",
    play: twoQueens,
  },
];

const atOnce = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

Deno.test({
  name: `what is wrong with another machine gets one clear message${clusterMissing()}`,
  ignore: !canRunCluster(),
  ...atOnce,
  fn: (t) =>
    onNodes(oddities.map(({ host }) => host), async (nodes) => {
      const passed = await Promise.all(oddities.map(({ host, claim, play }) =>
        t.step({ name: `${host.name}: ${claim}`, ...atOnce, fn: () => play(nodes, host.name) })
      ));
      assert.ok(passed.every((one) => one), "one of them was not as it should be");
    }),
});

/** A hive or a worker that is none: of another kind of machine, another program, or cut off. */
async function wrongExecutable(nodes: NodeCluster, name: string): Promise<void> {
  const world = nodes.addWorld();
  const node = await nodes.add(name, world, ["--install-path", "~/other"]);
  const there = join(node.host.home, "other/current");
  Deno.mkdirSync(there, { recursive: true });
  const forms = {
    "of another kind of machine": aarch64(),
    "another program": Deno.readFileSync("/bin/true"),
    "cut off": Deno.readFileSync(join(executables, "rbee-hive")).slice(0, 50_000_000),
  };
  for (let run = 1; run <= faultRuns; run++) {
    for (const [form, bytes] of Object.entries(forms)) {
      Deno.writeFileSync(join(there, "rbee-hive"), bytes, { mode: 0o755 });
      const finished = await node.infer();
      assertOneClearError(finished, { code: "HIVE_START_FAILED", says: /rbee setup install --node wrong-executable/ });
      assert.deepEqual(node.leftovers(), [], form);
      await nodes.nothingLeft(world);
    }
  }
}

/** The first bytes of a program for another processor. */
function aarch64(): Uint8Array {
  const header = Deno.readFileSync("/bin/true").slice(0, 4_096);
  header[18] = 0xb7;
  return header;
}

async function fullDisk(nodes: NodeCluster, name: string): Promise<void> {
  const world = nodes.addWorld();
  const node = await nodes.add(name, world);
  for (let run = 1; run <= faultRuns; run++) {
    await node.host.fillDisk();
    assertOneClearError(await node.infer(), { code: "DISK_FULL", says: /full-disk/ });
    assert.deepEqual(node.living(), []);
    await node.host.freeDisk();
    await node.nextInferWorks();
    await nodes.nothingLeft(world);
  }
}

async function fillingDisk(nodes: NodeCluster, name: string): Promise<void> {
  const world = nodes.addWorld();
  await world.up();
  const node = await nodes.add(name, world);
  for (let run = 1; run <= faultRuns; run++) {
    const keeper = await node.inferMidStream({ tokens: 200 });
    const before = node.host.rbeeProcesses().map(({ pid }) => pid);
    await node.host.fillDisk();
    const { code, stderr } = await keeper.ends(30_000);
    assert.equal(code, 0, stderr);
    await node.nextInferWorks();
    assert.deepEqual(before.filter((pid) => !isAlive(pid)), [], "the daemons live on");
    await node.host.freeDisk();
    await node.nextInferWorks();
  }
  await nodes.down(world);
}

/** A clock that is off by an hour when the hive starts, and jumps by two in the middle of an answer. */
async function otherTime(nodes: NodeCluster, name: string): Promise<void> {
  const world = nodes.addWorld();
  const node = await nodes.add(name, world);
  const { host } = node;
  const setClock = (seconds: number) => host.exec(["sh", "-c", `echo ${seconds < 0 ? "" : "+"}${seconds} >${clockFile}`]);
  for (const seconds of [hour, -hour]) {
    await setClock(seconds);
    await world.up();
    const keeper = await node.inferMidStream({ tokens: 300 });
    const hive = node.one("rbee-hive").pid;
    const { started_unix } = JSON.parse(Deno.readTextFileSync(join(host.home, ".rbee/hive.json")));
    assert.ok(Math.abs(started_unix - Date.now() / 1_000 - seconds) < 600, `its clock is off: ${started_unix}`);
    await setClock(-seconds);
    const { code, stderr } = await keeper.ends(30_000);
    assert.equal(code, 0, stderr);
    await node.nextInferWorks();
    assert.equal(node.one("rbee-hive").pid, hive, "it lives on: its lease knows no clock");
    await nodes.down(world);
  }
}

/** Whoever comes second is told whose the machine is; it is free when the first has gone. */
async function twoQueens(nodes: NodeCluster, name: string): Promise<void> {
  const [first, second] = [nodes.addWorld(), nodes.addWorld()];
  const mine = await nodes.add(name, first);
  const theirs = await nodes.add(name, second);
  const refused = async () =>
    assertOneClearError(await theirs.infer(), { code: "HIVE_LEASED", says: new RegExp(Deno.hostname()) });
  for (let run = 1; run <= faultRuns; run++) {
    await first.up();
    const keeper = await mine.inferMidStream({ tokens: 200 });
    await refused();
    const { code, stderr } = await keeper.ends(30_000);
    assert.equal(code, 0, stderr);
    await refused();
    await mine.nextInferWorks();
    await nodes.down(first);
    await theirs.nextInferWorks();
    await nodes.nothingLeft(second);
  }
}
