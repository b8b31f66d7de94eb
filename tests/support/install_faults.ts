/**
 * What can happen while rbee is being sent to a machine: in the middle of the first file. The same command again makes
 * it whole then.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { ErrorCode } from "../../protocol/error.ts";
import { join } from "../../runtime/path.ts";
import { eventually, pause } from "./eventually.ts";
import { assertOneClearError } from "./flows.ts";
import type { FaultRun, FaultStage, PlayedFault } from "./node_fault_runs.ts";
import { assertInstalled, bytesUnderWay, unfinishedThere, versionThere } from "./node_installation.ts";
import type { Node } from "./nodes.ts";
import { send } from "./processes.ts";
import type { Finished, Program } from "./program.ts";
import { executables } from "./world.ts";

/** Whoever installs hears of a lost machine by then. */
const toldMs = 20_000;
const installMs = 60_000;
/** So much has come when it is struck: a part of the first file. */
const struckAtBytes = 16 << 20;
/** Room for two versions and what a worker unpacks. */
const diskBytes = 720 << 20;

interface InstallFault {
  readonly name: string;
  readonly what: string;
  /** With which code the installation ends; "killed": it is the keeper that dies; undefined: it goes on to its end. */
  readonly ends?: readonly ErrorCode[] | "killed";
  readonly strike: (node: Node, keeper: Program) => Promise<void>;
  /** Makes the machine reachable again. */
  readonly mend?: (node: Node) => Promise<void>;
}

const kill = (pid: number) => {
  if (!send(pid, "SIGKILL")) throw new Error(`Cannot kill process ${pid}: it is not there`);
  return Promise.resolve();
};

const cutOff: readonly InstallFault[] = [
  {
    name: "kill-keeper",
    what: "SIGKILL at the keeper",
    ends: "killed",
    strike: (_node, keeper) => kill(keeper.pid),
  },
  {
    name: "kill-queen",
    what: "SIGKILL at the queen",
    ends: ["CONNECTION_LOST"],
    strike: ({ world }) => kill(world.queenPid()),
  },
  {
    name: "kill-ssh-master",
    what: "SIGKILL at the ssh master",
    ends: ["CONNECTION_LOST"],
    strike: (node) => kill(node.sshMaster().pid),
  },
  {
    name: "kill-sshd",
    what: "SIGKILL at every sshd there",
    ends: ["CONNECTION_LOST"],
    strike: ({ host }) => host.killSshd("all"),
    mend: ({ host }) => host.startSshd(),
  },
  {
    name: "reboot",
    what: "a reboot",
    ends: ["CONNECTION_LOST"],
    strike: ({ host }) => host.reboot(),
  },
  {
    name: "power-cut",
    what: "a power cut of which nobody is told",
    ends: ["CONNECTION_LOST"],
    strike: ({ host }) => host.reboot({ cut: true }),
  },
  {
    name: "pull-cable",
    what: "a cable that is pulled for ever",
    ends: ["CONNECTION_LOST"],
    strike: ({ host }) => host.pullCable(),
    mend: ({ host }) => host.plugCable(),
  },
  {
    name: "pull-cable-5-s",
    what: "a cable that is pulled for 5 s",
    async strike({ host }) {
      await host.pullCable();
      await pause(5_000);
      await host.plugCable();
    },
  },
];

/** All of them. */
export const installFaults: readonly PlayedFault[] = [
  ...cutOff.map((fault): PlayedFault => ({
    name: `${fault.name}-mid-install`,
    what: `${fault.what} mid-install`,
    promise: `${fault.ends ? "it is told" : "it goes on to its end"}, the same command again makes it whole`,
    host: { isBare: true },
    play: (stage) => playCutOff(fault, stage),
  })),
  {
    name: "full-disk-mid-install",
    what: "a full disk before and mid-install",
    promise: "it is told, the version before works on, room and the same command again make it whole",
    host: { isBare: true, diskBytes },
    play: playFullDisk,
  },
];

/** Starts the installation, and returns when a part of the first file has come. */
async function midInstall({ node, waitMs = 0 }: FaultStage): Promise<Program> {
  const keeper = node.world.start("rbee", ["setup", "install", "--node", node.name]);
  await eventually(() => bytesUnderWay(node) >= struckAtBytes, {
    withinMs: 20_000,
    everyMs: 2,
    what: `files are on their way to ${node.name}`,
    seen: () => keeper.account(),
  });
  await pause(waitMs / 4); // all of it takes some seconds
  return keeper;
}

async function again(node: Node): Promise<void> {
  const args = ["setup", "install", "--node", node.name];
  const { code, stderr } = await node.world.run("rbee", args, { withinMs: installMs });
  assert.equal(code, 0, `the same command again: ${stderr}`);
  await assertInstalled(node);
  await nothingAtWork(node);
}

/** Of a session that the network forgot its sshd hears within seconds when the cable is in again. */
async function nothingAtWork(node: Node): Promise<void> {
  await eventually(() => strangers(node).length === 0, {
    withinMs: toldMs,
    what: `nothing is at work on ${node.name}`,
    seen: () => strangers(node).join(", "),
  });
}

/** What runs there but sshd and rbee. */
function strangers({ host }: Node): string[] {
  const ours = new Set(host.rbeeProcesses().map(({ pid }) => pid));
  return host.processes().filter(({ pid, args }) => !ours.has(pid) && !/^(\S*\/)?sshd/.test(args[0] ?? ""))
    .map(({ pid, args }) => `${pid} ${args.join(" ").slice(0, 80)}`);
}

async function playCutOff(fault: InstallFault, stage: FaultStage): Promise<FaultRun> {
  const { node } = stage;
  await remove(node);
  const keeper = await midInstall(stage);
  const at = performance.now();
  await fault.strike(node, keeper);
  const finished = await keeper.ends(fault.ends ? toldMs : installMs);
  judge(fault, finished);
  const goneMs = performance.now() - at;
  if (fault.ends) assert.equal(versionThere(node), undefined, "half an installation is none");
  await fault.mend?.(node);
  await again(node);
  return { goneMs: fault.ends ? goneMs : 0, exits: [finished] };
}

function judge({ ends }: InstallFault, finished: Finished): void {
  if (ends === undefined) assert.equal(finished.code, 0, finished.stderr);
  else if (ends === "killed") assert.equal(finished.signal, "SIGKILL");
  else assert.ok(ends.includes(assertOneClearError(finished) as ErrorCode), `${ends}: ${finished.stderr}`);
}

async function remove({ host }: Node): Promise<void> {
  await Deno.remove(join(host.home, "rbee"), { recursive: true }).catch(() => {}); // the first time it is not there
}

async function playFullDisk(stage: FaultStage): Promise<FaultRun> {
  const { node } = stage;
  await remove(node);
  await installOlder(node);
  await node.host.fillDisk();
  const full = await node.world.run("rbee", ["setup", "install", "--node", node.name]);
  assertOneClearError(full, { code: "INSUFFICIENT_DISK", says: new RegExp(node.name) });
  await olderWorks(node);
  await node.host.freeDisk();
  const keeper = await midInstall(stage);
  await node.host.fillDisk();
  const filled = await keeper.ends(toldMs);
  // Between two files it is the look at the disk that finds it.
  const code = assertOneClearError(filled, { says: new RegExp(node.name) });
  assert.ok(["DISK_FULL", "INSUFFICIENT_DISK"].includes(code), filled.stderr);
  await olderWorks(node);
  await node.host.freeDisk();
  await again(node);
  return { goneMs: 0, exits: [full, filled] };
}

const older = "0.0.9";

/** A version before, as an installation leaves it. */
async function installOlder({ host }: Node): Promise<void> {
  const versions = join(host.home, "rbee/versions");
  const folder = join(versions, older);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(versions, ".rbee"), "the versions of rbee\n");
  for (const name of ["rbee-hive", "llm-worker-rbee"]) await Deno.copyFile(join(executables, name), join(folder, name));
  await Deno.symlink(`versions/${older}`, join(host.home, "rbee/current"));
}

async function olderWorks(node: Node): Promise<void> {
  assert.equal(versionThere(node), older);
  assert.deepEqual(unfinishedThere(node).filter((name) => name !== ".incoming"), []);
  const { code, stderr } = await node.host.exec([join(node.host.userHome, "rbee/current/rbee-hive"), "--version"]);
  assert.equal(code, 0, `the version before: ${stderr}`);
}
