/**
 * Real sshd on loopback ports, each with its own host key, and a person's `~/.ssh` that knows them. OpenSSH finds the
 * person's home in the user database, not in `HOME`: therefore an `ssh` in PATH that hands it the world's configuration
 * and notes how it was called.
 *
 * @module
 */
import { exists } from "../../runtime/files.ts";
import { join } from "../../runtime/path.ts";
import { eventually } from "./eventually.ts";
import { isListening } from "./ports.ts";
import type { World } from "./world.ts";

const programs = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/usr/bin/setpriv"];

/** Returns whether this machine has what an sshd of a test needs. */
export function canRunSshd(): boolean {
  return programs.every(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Returns the name of the user who runs the tests: the only one whom an sshd without root lets in. */
export function me(): string {
  return output("id", ["-un"]).trim();
}

function output(exe: string, args: string[], env: Record<string, string> = {}): string {
  const { success, stdout, stderr } = new Deno.Command(exe, { args, env }).outputSync();
  if (!success) throw new Error(`Cannot run ${exe} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** A line of the person's configuration: whatever agent the machine has is none of a test's. */
const noAgent = "IdentityAgent none\n";

/** Starts a program that ends with the test's thread. */
function startWithUs(exe: string, args: string[]): Deno.ChildProcess {
  return new Deno.Command("setpriv", {
    args: ["--pdeathsig", "KILL", exe, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

async function kill(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // the test has killed it
  }
  await child.status;
}

/** A running ssh-agent. */
export interface Agent extends AsyncDisposable {
  /** For SSH_AUTH_SOCK. */
  readonly socket: string;
}

/** A person's SSH set-up in a world. */
export class SshHome {
  /** `~/.ssh`. */
  readonly folder: string;
  /** To be put first into PATH. */
  readonly bin: string;
  readonly #calls: string;

  constructor(world: World) {
    this.folder = join(world.userHome, ".ssh");
    this.bin = join(world.root, "bin");
    this.#calls = join(world.root, "ssh-calls");
    Deno.mkdirSync(this.folder, { mode: 0o700 });
    Deno.mkdirSync(this.bin);
    output("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(this.folder, "id_ed25519")]);
    const ssh =
      `#!/bin/sh\nprintf '%s\\n' "$*" >> '${this.#calls}'\nexec /usr/bin/ssh -F '${this.folder}/config' "$@"\n`;
    Deno.writeTextFileSync(join(this.bin, "ssh"), ssh, { mode: 0o755 });
    Deno.writeTextFileSync(
      join(this.folder, "config"),
      `UserKnownHostsFile ${this.folder}/known_hosts\nGlobalKnownHostsFile /dev/null\n${noAgent}`,
    );
  }

  /** Makes an agent that holds the person's key, and returns its socket for SSH_AUTH_SOCK; before, there is none. */
  async startAgent(): Promise<Agent> {
    const config = join(this.folder, "config");
    Deno.writeTextFileSync(config, Deno.readTextFileSync(config).replace(noAgent, ""));
    const socket = join(this.bin, "agent");
    const child = startWithUs("ssh-agent", ["-D", "-a", socket]);
    const listens = () =>
      Deno.connect({ transport: "unix", path: socket }).then((one) => (one.close(), true), () => false);
    await eventually(listens, { withinMs: 5_000, what: "the agent listens" });
    output("ssh-add", ["-q", join(this.folder, "id_ed25519")], { SSH_AUTH_SOCK: socket });
    return { socket, [Symbol.asyncDispose]: () => kill(child) };
  }

  /** Locks the person's key by a passphrase. */
  lockKey(): void {
    output("ssh-keygen", ["-q", "-p", "-P", "", "-N", "a secret", "-f", join(this.folder, "id_ed25519")]);
  }

  /** The command lines of `ssh` so far. */
  get calls(): string[] {
    try {
      return Deno.readTextFileSync(this.#calls).trimEnd().split("\n");
    } catch {
      return [];
    }
  }

  /** Starts a host's sshd in a world: it takes this person's key, who knows the host and trusts it. */
  async startHost(world: World, host: string, config?: string[]): Promise<Sshd> {
    const port = world.ports.hive + 1;
    const authorizedKeys = join(this.folder, "id_ed25519.pub");
    const sshd = await startSshd({ folder: join(world.root, "sshd"), port, config, authorizedKeys });
    this.addHost(host, port);
    this.trust(port, sshd.hostKey);
    return sshd;
  }

  /** Lets a name mean a port, of this machine when no address is given; `more`: lines of its own for the name. */
  addHost(host: string, port: number, { address = "127.0.0.1", more = [] }: SshHost = {}): void {
    const lines = [`Host ${host}`, `HostName ${address}`, `Port ${port}`, ...more];
    Deno.writeTextFileSync(join(this.folder, "config"), lines.join("\n  ") + "\n", { append: true });
  }

  /** Trusts a host key (a line of a `.pub` file) at a port, of this machine when no address is given. */
  trust(port: number, key: string, { address = "127.0.0.1" }: SshHost = {}): void {
    const host = port === 22 ? address : `[${address}]:${port}`;
    Deno.writeTextFileSync(join(this.folder, "known_hosts"), `${host} ${key}\n`, { append: true });
  }
}

/** Where a host is, and what else the person's configuration says about it. */
export interface SshHost {
  readonly address?: string;
  readonly more?: readonly string[];
}

/** What an sshd is told. */
export interface SshdSettings {
  readonly address: string;
  readonly port: number;
  /** Paths as the sshd sees them. */
  readonly hostKey: string;
  readonly authorizedKeys: string;
  /** Lines that come first and therefore win. */
  readonly more?: readonly string[];
}

/** Returns an sshd_config that lets in who holds a key, and nobody by a password. */
export function sshdConfig({ address, port, hostKey, authorizedKeys, more = [] }: SshdSettings): string {
  return [
    ...more,
    ...[
      `Port ${port}`,
      `ListenAddress ${address}`,
      `HostKey ${hostKey}`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
    ],
    ...[`AuthorizedKeysFile ${authorizedKeys}`, "PasswordAuthentication no", "KbdInteractiveAuthentication no"],
    "PermitRootLogin prohibit-password",
  ].join("\n") + "\n";
}

/** Makes a host key at a path. Returns its public half, as known_hosts takes it. */
export function makeHostKey(path: string): string {
  output("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]);
  return readHostKey(path);
}

const readHostKey = (path: string) => Deno.readTextFileSync(`${path}.pub`).trim();

/** A running sshd. */
export interface Sshd extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** Its public host key, as known_hosts takes it. */
  readonly hostKey: string;
  /** Returns how many logins it let in so far. */
  logins(): number;
}

/** How an sshd is set up. */
export interface SshdOptions {
  /** Its files; the host key of an sshd that was here before stays. */
  readonly folder: string;
  readonly port: number;
  /** A file. */
  readonly authorizedKeys: string;
  /** Lines of its sshd_config that come first and therefore win. */
  readonly config?: readonly string[];
  /** Loopback when absent. */
  readonly address?: string;
}

/** Starts an sshd that lets in who holds a key of `authorizedKeys`. It ends with the test's thread. */
export async function startSshd(options: SshdOptions): Promise<Sshd> {
  const { folder, port, authorizedKeys, config: more, address = "127.0.0.1" } = options;
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = join(folder, "host_key");
  const hostKey = exists(key) ? readHostKey(key) : makeHostKey(key);
  if (Deno.uid() === 0) Deno.mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  Deno.writeTextFileSync(
    join(folder, "sshd_config"),
    sshdConfig({ address, port, hostKey: key, authorizedKeys, more }),
  );
  const child = startWithUs("/usr/sbin/sshd", [
    ...["-D", "-f", join(folder, "sshd_config"), "-E", join(folder, "log")],
  ]);
  await eventually(() => isListening(port, address), {
    withinMs: 5_000,
    what: "sshd listens",
    seen: () => Deno.readTextFileSync(join(folder, "log")),
  });
  return {
    port,
    pid: child.pid,
    hostKey,
    logins: () => [...Deno.readTextFileSync(join(folder, "log")).matchAll(/^Accepted publickey/gm)].length,
    [Symbol.asyncDispose]: () => kill(child),
  };
}
