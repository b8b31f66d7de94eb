/** What the tests want from the system, which is installed where that is ours to do and named otherwise. */
import { exists, say } from "./files.ts";

const INSTALL_MS_MAX = 5 * 60_000;

/** Debian's packages, each with a program of it; Debian keeps them in both places. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  "openssh-server": ["/usr/sbin/sshd"],
  "iproute2": ["/sbin/ip", "/usr/sbin/ip"],
  "nftables": ["/usr/sbin/nft", "/sbin/nft"],
  "procps": ["/usr/bin/ps", "/bin/ps"],
  "faketime": ["/usr/bin/faketime"],
};

/** What decides who installs. */
export interface Machine {
  readonly isRoot: boolean;
  readonly hasApt: boolean;
  /** It starts the services of what is installed: for an sshd that is the owner's decision. */
  readonly hasSystemd: boolean;
  /** `CI=true`: a machine without a person. */
  readonly isCi: boolean;
}

/** Returns what to do about missing packages: install them, say the line that does, or nothing at all. */
export function planFor(missing: readonly string[], machine: Machine): "install" | "say" | "nothing" {
  if (missing.length === 0 || !machine.hasApt) return "nothing";
  const isOurs = machine.isCi || !machine.hasSystemd || !missing.includes("openssh-server");
  return machine.isRoot && isOurs ? "install" : "say";
}

/** Returns the packages of which no program is there: those that the tests want, when none are given. */
export async function missingPackages(needs: Readonly<Record<string, readonly string[]>> = NEEDS): Promise<string[]> {
  const found = await Promise.all(
    Object.values(needs).map(async (paths) => (await Promise.all(paths.map(exists))).includes(true)),
  );
  return Object.keys(needs).filter((_name, i) => !found[i]);
}

/**
 * Sees to it that the system has what the tests want. Says nothing when all is there; what stays missing makes tests
 * that are not run, never a failure of its own.
 */
export async function provideTestNeeds(): Promise<void> {
  const missing = await missingPackages();
  const plan = planFor(missing, {
    isRoot: Deno.build.os === "linux" && Deno.uid() === 0,
    hasApt: await exists("/usr/bin/apt-get"),
    hasSystemd: await exists("/run/systemd/system"),
    isCi: Deno.env.get("CI") === "true",
  });
  if (plan === "nothing") return;
  const line = `apt-get install ${missing.join(" ")}`;
  if (plan === "install") {
    say(`${line} (the tests want them)`);
    if (await apt(["update", "-q"]) && await apt(["install", "-y", "-q", "--no-install-recommends", ...missing])) {
      return;
    }
  }
  say(`Some tests will not be run; as root type: ${line}`);
}

async function apt(args: readonly string[]): Promise<boolean> {
  const child = new Deno.Command("apt-get", {
    args: ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", ...args],
    // Runlevel 1: packages start no service.
    env: { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
    signal: AbortSignal.timeout(INSTALL_MS_MAX),
  }).spawn();
  return (await child.status).success;
}
