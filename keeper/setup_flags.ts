/**
 * Which flags of `rbee setup add-node` belong together: those of SSH, or those of a hive that is called directly.
 *
 * @module
 */
import type { Command } from "commander";

type Flags = Readonly<Record<string, unknown>>;

/** Flags by their names in commander's options. `hivePort` goes with both. */
const needed = {
  ssh: { sshHost: "--ssh-host <host>", sshUser: "--ssh-user <user>" },
  direct: { address: "--address <address[:port]>", tokenFile: "--token-file <file>" },
} as const;

const others = {
  ssh: {
    ...{ ...needed.ssh, sshPort: "--ssh-port", sshKey: "--ssh-key", gitRepo: "--git-repo", gitBranch: "--git-branch" },
    ...{ installPath: "--install-path", workerPorts: "--worker-ports" },
  },
  direct: { ...needed.direct, caCert: "--ca-cert", plaintext: "--plaintext" },
} as const;

/** Returns nothing. Ends the command as commander does for wrong usage, naming the first flag that is missing or odd. */
export function checkAdd(command: Command, flags: Flags): void {
  const transport = flags.transport === "direct" ? "direct" : "ssh";
  const other = transport === "ssh" ? "direct" : "ssh";
  const odd = Object.entries(others[other]).find(([name]) => flags[name] !== undefined);
  if (odd) command.error(`error: option '${odd[1].split(" ")[0]}' needs --transport ${other}`);
  const missing = Object.entries(needed[transport]).find(([name]) => flags[name] === undefined);
  if (missing) command.error(`error: required option '${missing[1]}' not specified`);
  if (transport === "direct" && (flags.caCert === undefined) === (flags.plaintext === undefined)) {
    command.error("error: give one of --ca-cert <file> and --plaintext");
  }
}
