/**
 * What can happen to a machine or to the way there, and what becomes then of an answer that is under way.
 *
 * @module
 */
import type { ErrorCode } from "../../protocol/error.ts";
import { pause } from "./eventually.ts";
import type { Node } from "./nodes.ts";
import { send } from "./processes.ts";

/** One kind of fault. */
export interface NodeFault {
  /** `kill-worker`. */
  readonly name: string;
  /** "SIGKILL at the worker"; a moment is put behind it. */
  readonly what: string;
  /** With which code an answer under way ends; undefined: it goes on to its end. */
  readonly ends?: readonly ErrorCode[];
  /** What runs on the node afterwards, until somebody wants something there again. */
  readonly leaves: "everything" | "the hive" | "nothing";
  /** It is noticed by silence alone. */
  readonly isSlow?: boolean;
  /** Does it. */
  readonly strike: (node: Node) => Promise<void>;
  /** Makes the machine reachable again. */
  readonly mend?: (node: Node) => Promise<void>;
}

const kill = (pid: number) => {
  if (!send(pid, "SIGKILL")) throw new Error(`Cannot kill process ${pid}: it is not there`);
  return Promise.resolve();
};

/** How long the cable is out when it is plugged in again. */
const shortlyMs = 5_000;

/** All of them. */
export const nodeFaults: readonly NodeFault[] = [
  {
    name: "kill-worker",
    what: "SIGKILL at the worker",
    ends: ["WORKER_CRASHED"],
    leaves: "the hive",
    strike: (node) => kill(node.one("llm-worker-rbee").pid),
  },
  {
    name: "kill-hive",
    what: "SIGKILL at the hive",
    ends: ["WORKER_CRASHED", "CONNECTION_LOST"],
    leaves: "nothing",
    strike: (node) => kill(node.one("rbee-hive").pid),
  },
  {
    name: "kill-ssh-master",
    what: "SIGKILL at the ssh master",
    ends: ["CONNECTION_LOST"],
    leaves: "everything",
    strike: (node) => kill(node.sshMaster().pid),
  },
  {
    name: "kill-sshd-sessions",
    what: "SIGKILL at the sshd that serves the connection",
    ends: ["CONNECTION_LOST"],
    leaves: "everything",
    strike: ({ host }) => host.killSshd("sessions"),
  },
  {
    name: "kill-sshd",
    what: "SIGKILL at every sshd that is not started again",
    ends: ["CONNECTION_LOST"],
    leaves: "nothing",
    isSlow: true,
    strike: ({ host }) => host.killSshd("all"),
    mend: ({ host }) => host.startSshd(),
  },
  {
    name: "reboot",
    what: "a reboot",
    ends: ["CONNECTION_LOST"],
    leaves: "nothing",
    strike: ({ host }) => host.reboot(),
  },
  {
    name: "power-cut",
    what: "a power cut of which nobody is told",
    ends: ["CONNECTION_LOST"],
    leaves: "nothing",
    strike: ({ host }) => host.reboot({ cut: true }),
  },
  {
    name: "pull-cable",
    what: "a cable that is pulled for ever",
    ends: ["CONNECTION_LOST"],
    leaves: "nothing",
    isSlow: true,
    strike: ({ host }) => host.pullCable(),
    mend: ({ host }) => host.plugCable(),
  },
  {
    name: "pull-cable-5-s",
    what: "a cable that is pulled for 5 s",
    leaves: "everything",
    async strike({ host }) {
      await host.pullCable();
      await pause(shortlyMs);
      await host.plugCable();
    },
  },
];
