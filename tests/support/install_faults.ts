/**
 * A fault of a machine in the middle of `setup install`: it is told, and the same command once more makes it whole.
 *
 * @module
 */
import assert from "node:assert/strict";
import { VERSION } from "../../runtime/version.ts";
import { pause } from "./eventually.ts";
import { assertOneClearError } from "./flows.ts";
import type { FaultRun, FaultStage, PlayedFault } from "./node_fault_runs.ts";
import { type NodeFault, nodeFaults } from "./node_faults.ts";
import type { Node } from "./nodes.ts";
import { executables } from "./world.ts";

/** Whoever waits hears of a lost machine by then. */
const toldMs = 20_000;
/** An installation takes some seconds; on a busy machine many. */
const installMs = 60_000;

/** Those that strike where no rbee runs yet. */
const struck = /^(kill-ssh|reboot|power-cut|pull-cable)/;

/** The queen sends; her next one begins anew. */
const killQueen: NodeFault = {
  name: "kill-queen",
  what: "SIGKILL at the queen",
  ends: ["CONNECTION_LOST"],
  leaves: "nothing",
  strike: ({ world }) => Promise.resolve(void Deno.kill(world.queenPid(), "SIGKILL")),
  mend: ({ world }) => world.up(),
};

/** All of them. */
export const installFaults: readonly PlayedFault[] = [
  ...nodeFaults.filter(({ name }) => struck.test(name)),
  killQueen,
].map(midInstall);

function midInstall(fault: NodeFault): PlayedFault {
  return {
    name: `${fault.name}-mid-install`,
    what: `${fault.what} mid-install`,
    promise: `${fault.ends ? "one clear error" : "it goes on to its end"}, and once more makes it whole`,
    isSlow: fault.isSlow,
    host: { isBare: true },
    play: (stage) => play(fault, stage),
  };
}

async function play(fault: NodeFault, { node, bystander, waitMs = 0 }: FaultStage): Promise<FaultRun> {
  await node.world.up();
  await withoutHive(node);
  const keeper = install(node);
  await keeper.sees(/Sending/, { withinMs: 20_000 });
  await pause(waitMs);
  const at = performance.now();
  await fault.strike(node);
  await bystander?.goesOn();
  const finished = await keeper.ends(fault.ends ? toldMs : installMs);
  const goneMs = performance.now() - at;
  // It may have been through before chance struck.
  if (fault.ends && finished.code !== 0) assertOneClearError(finished, { code: "CONNECTION_LOST" });
  else assert.equal(finished.code, 0, finished.stderr);
  await fault.mend?.(node);
  const again = await install(node).ends(installMs);
  assert.equal(again.code, 0, again.stderr);
  assert.deepEqual(await filesOf(node), ["llm-worker-rbee", "manifest.json", "rbee-hive"], "and nothing half");
  await node.nextInferWorks();
  return { goneMs, exits: [finished] };
}

const install = (node: Node) => node.world.start("rbee", ["setup", "install", "--node", node.name]);
const folder = `~/rbee/versions/${VERSION}`;

/** An installation that lacks its hive: some seconds are left to do, and not many. */
async function withoutHive({ host }: Node): Promise<void> {
  const there = `test -e ${folder}/llm-worker-rbee || cp ${executables}/llm-worker-rbee ${folder}`;
  const script = `mkdir -p ${folder} && touch ~/rbee/versions/.rbee && { ${there}; } && rm -f ${folder}/rbee-hive`;
  const { code, stderr } = await host.exec(["sh", "-c", script]);
  assert.equal(code, 0, stderr);
}

async function filesOf({ host }: Node): Promise<string[]> {
  const { stdout } = await host.exec(["sh", "-c", `cd ${folder} && find . -maxdepth 1 -type f`]);
  return stdout.trim().split("\n").map((name) => name.replace("./", "")).sort();
}
