/**
 * Another machine, as far as one machine can play it: an sshd on a loopback port, whose logins have a home of their own
 * with rbee installed in it, and ports that nobody else has. It needs neither root nor namespaces.
 *
 * @module
 */
import { join } from "../../runtime/path.ts";
import { claimPorts, type PortRange } from "./ports.ts";
import { killAll, type ProcessEntry, processesOf, processOf, programOf } from "./processes.ts";
import { eventually } from "./eventually.ts";
import { me, type Sshd, type SshHome, startSshd } from "./sshd.ts";
import { type Executable, executables, type World } from "./world.ts";

/** What it is. */
export interface LoopbackNodeOptions {
  /** The person's, who can log in there. */
  readonly ssh: SshHome;
  readonly host: string;
  /** The executables that are installed there; those under test when absent. */
  readonly programs?: string;
  /** Lines of its sshd_config that come first and therefore win. */
  readonly config?: readonly string[];
}

/** The machine. */
export class LoopbackNode implements AsyncDisposable {
  readonly host: string;
  /** The home of whoever logs in. */
  readonly home: string;
  readonly ports: PortRange;
  readonly #ssh: SshHome;
  readonly #config: readonly string[];
  #sshd?: Sshd;

  private constructor(world: World, { ssh, host, programs = executables, config = [] }: LoopbackNodeOptions) {
    this.#ssh = ssh;
    this.host = host;
    this.#config = config;
    this.home = join(world.root, "nodes", host);
    this.ports = claimPorts();
    install(programs, join(this.home, "rbee"));
  }

  /** Returns a running machine that the world's person can log in to by that name; the caller ends it. */
  static async start(world: World, options: LoopbackNodeOptions): Promise<LoopbackNode> {
    const node = new LoopbackNode(world, options);
    await node.startSshd();
    const { port, hostKey } = node.#sshd!;
    options.ssh.addHost(options.host, port);
    options.ssh.trust(port, hostKey);
    return node;
  }

  /** Its `RBEE_HOME`. */
  get rbeeHome(): string {
    return join(this.home, ".rbee");
  }

  /** What `rbee setup add-node` is told about it. */
  get flags(): string[] {
    const { hive, workerStart, workerEnd } = this.ports;
    return [
      ...["--ssh-host", this.host, "--ssh-user", this.user, "--ssh-key", join(this.#ssh.folder, "id_ed25519")],
      ...["--install-path", "~/rbee", "--hive-port", String(hive), "--worker-ports", `${workerStart}-${workerEnd}`],
    ];
  }

  /** Who logs in there: the user of the tests. */
  get user(): string {
    return me();
  }

  /** Starts its sshd, once more after `killSshd`, with the same host key and port. */
  async startSshd(): Promise<void> {
    this.#sshd = await startSshd({
      folder: join(this.home, "sshd"),
      port: this.ports.queen, // a node has no queen
      authorizedKeys: join(this.#ssh.folder, "id_ed25519.pub"),
      config: [...this.#config, `SetEnv HOME=${this.home} RBEE_HOME=${this.rbeeHome}`],
    });
  }

  /** Kills its sshd with every login: as if the cable were pulled and the far side knew. */
  async killSshd(): Promise<void> {
    const logins = this.#sshd ? below(this.#sshd.pid).filter((one) => programOf(one).startsWith("sshd")) : [];
    await this.#sshd?.[Symbol.asyncDispose]();
    this.#sshd = undefined;
    killAll(logins);
  }

  /** The living processes of rbee and of its shells there. */
  processes(program?: Executable): ProcessEntry[] {
    return processesOf(this.rbeeHome).filter((p) => program === undefined || programOf(p) === program);
  }

  /** The running hive's process. Throws when there is none. */
  hivePid(): number {
    return JSON.parse(Deno.readTextFileSync(join(this.rbeeHome, "hive.json"))).pid;
  }

  /** Ends the machine with all that is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.killSshd();
      await eventually(() => {
        const left = this.processes();
        killAll(left);
        return left.length === 0;
      }, { withinMs: 5_000, what: `nothing runs on ${this.host}`, everyMs: 20 });
    } finally {
      this.ports[Symbol.dispose]();
    }
  }
}

/** What `setup install` leaves there, with links for files: an installation puts its own in their place. */
function install(programs: string, prefix: string): void {
  const { version } = JSON.parse(Deno.readTextFileSync(join(programs, "manifest.json")));
  const place = join(prefix, "versions", version);
  Deno.mkdirSync(place, { recursive: true });
  Deno.writeTextFileSync(join(prefix, "versions/.rbee"), "the versions of rbee\n");
  for (const name of ["rbee-hive", "llm-worker-rbee"]) Deno.symlinkSync(join(programs, name), join(place, name));
  Deno.symlinkSync(join("versions", version), join(prefix, "current"));
}

/** Returns the living processes below one, whatever they run. */
function below(pid: number): ProcessEntry[] {
  const all = [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name))
    .flatMap(({ name }) => processOf(Number(name)) ?? []);
  const found = [pid];
  for (const parent of found) found.push(...all.filter((one) => one.ppid === parent).map((one) => one.pid));
  return all.filter((one) => one.pid !== pid && found.includes(one.pid));
}
