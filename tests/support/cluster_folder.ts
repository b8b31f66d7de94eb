/**
 * What a host of a cluster is made of before it is turned on: a folder with its home and its part of `/etc`.
 *
 * @module
 */
import { join } from "../../runtime/path.ts";
import type { Cable } from "./cluster_network.ts";
import { makeHostKey, sshdConfig } from "./sshd.ts";

/** What a host is like. */
export interface HostOptions {
  readonly name: string;
  /** Lines for its sshd_config; they win over ours: `AllowTcpForwarding no`, `ForceCommand …`. */
  readonly sshd?: readonly string[];
  /** Added to the environment of whoever logs in. */
  readonly env?: Readonly<Record<string, string>>;
  /** The person's login shell there. */
  readonly shell?: string;
  /** Files and folders of this machine that show up in its home: name there → path here. Writes reach the original. */
  readonly home?: Readonly<Record<string, string>>;
  /** Its home lies on a disk of this size in memory, which can be full. Absent: a folder. */
  readonly diskBytes?: number;
}

/** The files in a host's `etc` that stand for those of this machine. */
export const etcFiles = ["ssh", "hosts", "passwd"] as const;

/** A host's folder, and who is at home there. */
export interface HostFolder {
  readonly path: string;
  /** The person's name and home, as the host itself calls it. */
  readonly user: string;
  readonly userHome: string;
  /** Its public host key, as known_hosts takes it. */
  readonly hostKey: string;
}

/** Makes the folder of a host that lets in the holder of `authorizedKey`, a line of a `.pub` file. */
export function makeHostFolder(
  options: HostOptions,
  { path, cable, authorizedKey }: { path: string; cable: Cable; authorizedKey: string },
): HostFolder {
  const passwd = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"));
  const root = passwd.find(([, , uid]) => uid === "0");
  if (!root) throw new Error("Cannot find root's home: /etc/passwd does not list it");
  if (options.shell) root[6] = options.shell;
  Deno.mkdirSync(join(path, "etc/ssh"), { recursive: true });
  Deno.mkdirSync(join(path, "home"), { mode: 0o700 });
  const files = {
    "passwd": passwd.map((fields) => fields.join(":")).join("\n"),
    "hosts": `127.0.0.1 localhost\n${cable.there} ${options.name}\n${cable.here} control\n`,
    "ssh/authorized_keys": authorizedKey,
    "ssh/sshd_config": configOf(options, cable.there),
  };
  for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(join(path, "etc", name), text);
  const hostKey = makeHostKey(join(path, "etc/ssh/host_key"));
  return { path, user: root[0], userHome: root[5], hostKey };
}

function configOf({ env = {}, sshd = [] }: HostOptions, address: string): string {
  // sshd heeds the first SetEnv alone.
  const pairs = Object.entries(env).map(([name, value]) => `"${name}=${value}"`);
  return sshdConfig({
    address,
    port: 22,
    hostKey: "/etc/ssh/host_key",
    authorizedKeys: "/etc/ssh/authorized_keys",
    more: [
      ...sshd,
      ...(pairs.length > 0 ? [`SetEnv ${pairs.join(" ")}`] : []),
      ...["MaxStartups 200", "MaxSessions 200", "Subsystem sftp internal-sftp"],
    ],
  });
}
