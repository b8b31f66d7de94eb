/**
 * Cables between this machine and the hosts of a cluster: a veth pair and a /30 for each. A cable ends with the network
 * namespace at its far end, and that one with the last process in it; so nothing stays when a test is killed. What the
 * kernel has not cleared away yet is known by its name.
 *
 * @module
 */
import { tryHold } from "./ports.ts";
import { Program } from "./program.ts";

/** Where the commands that a cluster needs may lie. */
export const clusterPath = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/** The first two parts of addresses that hosts may get: private ones that networks seldom use. */
const bases = ["10.213", "172.29", "192.168"];
/** A network (/24) has room for this many cables. */
const cablesMax = 60;
/** The kernel's names are those of the machine, so are these locks: of the machine, not of one TMPDIR. */
const lockFolder = "/run/rbee-test-networks";
const cableName = /^rbt(\d+)-\d+$/;

/** A /24 that nobody else has. */
export interface Network extends Disposable {
  /** Its number among all that can be. */
  readonly index: number;
  /** Returns the cable of the host with this number, from 0. Throws when there are too many. */
  cable(host: number): Cable;
}

/** One cable: its end here and its end in the host, which is called `eth0` there. */
export interface Cable {
  readonly device: string;
  /** Address of this machine at the cable. */
  readonly here: string;
  /** Address of the host. */
  readonly there: string;
}

/** Returns a network that is ours until it is disposed. Throws when none is free. */
export function claimNetwork(): Network {
  const routes = Deno.readTextFileSync("/proc/net/route");
  const start = Math.floor(Math.random() * 256);
  for (let tried = 0; tried < bases.length * 256; tried++) {
    const index = Math.floor(tried / 256) * 256 + (start + tried) % 256;
    if (isRouted(index, routes)) continue;
    const lock = tryHold(lockFolder, index);
    if (lock) return networkOf(index, lock);
  }
  throw new Error("Cannot find a free network for a cluster");
}

function networkOf(index: number, lock: Deno.FsFile): Network {
  return {
    index,
    cable(host) {
      if (host >= cablesMax) throw new Error(`Cannot have host ${host + 1}: a cluster has room for ${cablesMax}`);
      const at = (last: number) => [...networkBytes(index), host * 4 + last].join(".");
      return { device: `rbt${index}-${host}`, here: at(1), there: at(2) };
    },
    [Symbol.dispose]: () => lock.close(),
  };
}

function networkBytes(index: number): number[] {
  return [...bases[Math.floor(index / 256)].split(".").map(Number), index % 256];
}

/** Whether this machine has a route into a network, its default route aside. */
function isRouted(index: number, routes: string): boolean {
  const bytes = networkBytes(index);
  return routes.trim().split("\n").slice(1).some((line) => {
    const [, destination, , , , , , mask] = line.split("\t");
    const [to, bits] = [destination, mask].map(addressBytes);
    return bits[0] > 0 && bytes.every((byte, i) => (byte & bits[i]) === (to[i] & bits[i]));
  });
}

/** `0100007F` as 127, 0, 0, 1: the kernel prints the four bytes as one number of a little-endian machine. */
function addressBytes(hex: string): number[] {
  return [6, 4, 2, 0].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** Lays a cable to the network namespace of a process. */
export async function layCable(cable: Cable, pid: number): Promise<void> {
  const { device, here, there } = cable;
  await removeCable(cable); // ours by its name: one that the kernel has not cleared away yet
  await asRoot("ip", ["-batch", "-"], [
    `link add ${device} type veth peer name eth0 netns ${pid}`,
    `address add ${here}/30 dev ${device}`,
    `link set ${device} up`,
  ]);
  await inNetworkOf(pid, "ip", ["-batch", "-"], [
    `address add ${there}/30 dev eth0`,
    "link set lo up",
    "link set eth0 up",
  ]);
}

/** Takes a cable away; one that is gone is fine. */
export async function removeCable({ device }: Pick<Cable, "device">): Promise<void> {
  if (!cables().includes(device)) return;
  await asRoot("ip", ["link", "delete", device]).catch((error) => {
    if (cables().includes(device)) throw error; // otherwise the kernel was quicker
  });
}

/** The cable is pulled at the host's end: nothing comes or goes, and nobody is told. */
export async function pullCable(pid: number): Promise<void> {
  await inNetworkOf(pid, "nft", ["-f", "-"], [
    "add table inet cable",
    "add chain inet cable in { type filter hook input priority -300; }",
    "add chain inet cable out { type filter hook output priority -300; }",
    "add rule inet cable in iifname eth0 drop",
    "add rule inet cable out oifname eth0 drop",
  ]);
}

/** The cable is plugged in again; one that is in is fine. */
export async function plugCable(pid: number): Promise<void> {
  await inNetworkOf(pid, "nft", ["-f", "-"], ["add table inet cable", "delete table inet cable"]);
}

/** From now on the kernel gives up connections without a process within a second, as one that has no power does at once. */
export async function letConnectionsGo(pid: number): Promise<void> {
  await inNetworkOf(pid, "sh", ["-s"], ["echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries"]);
}

/** Takes away every cable whose network nobody holds: those that killed tests left. */
export async function removeLostCables(): Promise<void> {
  for (const device of cables()) {
    using lock = tryHold(lockFolder, Number(device.match(cableName)?.[1]));
    if (lock) await removeCable({ device });
  }
}

/** The names of all cables of all tests that this machine has now. */
export function cables(): string[] {
  try {
    return [...Deno.readDirSync("/sys/class/net")].map(({ name }) => name).filter((name) => cableName.test(name));
  } catch {
    return []; // not Linux
  }
}

function inNetworkOf(pid: number, exe: string, args: readonly string[], lines: readonly string[]): Promise<void> {
  return asRoot("nsenter", [`--net=/proc/${pid}/ns/net`, exe, ...args], lines);
}

/** Runs a command of the system to its end, fed with lines. Throws when it fails. */
async function asRoot(exe: string, args: readonly string[], lines: readonly string[] = []): Promise<void> {
  const program = new Program({ exe, args, cwd: "/", env: { PATH: clusterPath }, stdin: lines.join("\n") + "\n" });
  const { code, stderr } = await program.ends(5_000);
  if (code !== 0) throw new Error(`Cannot run ${exe} ${args.join(" ")}: ${stderr.trim()}`);
}
