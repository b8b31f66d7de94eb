/**
 * Machines for tests: hosts in namespaces of their own, each reached only by SSH over a cable. Needs root.
 *
 * @module
 */
import { join } from "../../runtime/path.ts";
import { type HostOptions, makeHostFolder } from "./cluster_folder.ts";
import { ClusterHost } from "./cluster_host.ts";
import { claimNetwork, clusterPath, type Network, removeLostCables } from "./cluster_network.ts";
import { canRunSshd, SshHome } from "./sshd.ts";
import type { World } from "./world.ts";

/** What a test of clusters needs, and what to type where that is missing. */
export const clusterNeed = {
  why: "needs root, network namespaces, nft and sshd",
  install: "apt-get install openssh-server iproute2 nftables",
} as const;

/** A trial in namespaces that end with it: a network, a mount, a cable and a rule. */
const trial = "mount -t tmpfs trial /tmp && hostname trial && ip link add trial0 type veth peer name trial1 && " +
  "nft add table inet cable && test -r /proc/$$/task/$$/children";

let known: boolean | undefined;

/** Returns whether this machine lets us have clusters: containers often do not. */
export function canRunCluster(): boolean {
  known ??= Deno.build.os === "linux" && Deno.uid() === 0 && canRunSshd() && trialWorks();
  return known;
}

/** Returns what the name of a test says where it can't run; empty where it can. */
export function clusterMissing(): string {
  return canRunCluster()
    ? ""
    : ` [not run: ${clusterNeed.why}; where there are: ${clusterNeed.install}, then as root deno task test]`;
}

function trialWorks(): boolean {
  const args = ["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "sh", "-c", trial];
  const options = { args, env: { PATH: clusterPath }, stdin: "null", stdout: "null", stderr: "null" } as const;
  try {
    return new Deno.Command("/usr/bin/unshare", options).outputSync().success;
  } catch {
    return false; // no unshare here
  }
}

/** The machines of one test. */
export class Cluster implements AsyncDisposable {
  /** The person's SSH set-up on this machine: knows every host by name, has a key that they let in. */
  readonly ssh: SshHome;
  readonly hosts: readonly ClusterHost[];
  readonly #network: Network;

  private constructor(ssh: SshHome, hosts: readonly ClusterHost[], network: Network) {
    this.ssh = ssh;
    this.hosts = hosts;
    this.#network = network;
  }

  /**
   * Returns running machines that the world's person can log in to by name. Give `ssh` when the world has an SshHome
   * already. Throws where `canRunCluster` is false.
   */
  static async create(
    world: World,
    options: { hosts: readonly (string | HostOptions)[]; ssh?: SshHome },
  ): Promise<Cluster> {
    await removeLostCables();
    const ssh = options.ssh ?? new SshHome(world);
    const authorizedKey = Deno.readTextFileSync(join(ssh.folder, "id_ed25519.pub"));
    const network = claimNetwork();
    const hosts = options.hosts.map((host, i) => {
      const wanted = typeof host === "string" ? { name: host } : host;
      const cable = network.cable(i);
      const path = join(world.root, "hosts", wanted.name);
      return new ClusterHost(wanted, { folder: makeHostFolder(wanted, { path, cable, authorizedKey }), cable });
    });
    const cluster = new Cluster(ssh, hosts, network);
    const started = await Promise.allSettled(hosts.map((host) => host.start()));
    const failed = started.find((one) => one.status === "rejected");
    if (failed) {
      await cluster[Symbol.asyncDispose]();
      throw failed.reason;
    }
    for (const host of hosts) cluster.#introduce(host);
    return cluster;
  }

  /** The names of its cables at this machine begin so. */
  get cablePrefix(): string {
    return `rbt${this.#network.index}-`;
  }

  /** Returns the host of that name. Throws when there is none. */
  host(name: string): ClusterHost {
    const found = this.hosts.find((host) => host.name === name);
    if (!found) {
      throw new Error(`Cannot find host ${name}: the cluster has ${this.hosts.map((h) => h.name).join(", ")}`);
    }
    return found;
  }

  /** Ends every host with all that is in it; frees the network. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Promise.all(this.hosts.map((host) => host.end()));
    } finally {
      this.#network[Symbol.dispose]();
    }
  }

  #introduce({ name, address, user, hostKey }: ClusterHost): void {
    const more = [`User ${user}`, `IdentityFile ${join(this.ssh.folder, "id_ed25519")}`];
    this.ssh.addHost(`${name} ${address}`, 22, { address, more });
    this.ssh.trust(22, hostKey, { address });
  }
}
