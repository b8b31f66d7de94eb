/**
 * One machine of a cluster: mount, PID, UTS and IPC namespaces of its own, its own home, `/tmp`, `/run`, `/etc/ssh` and
 * host key, reached over a cable. Two processes hold it: the case, which has its network and its disk and stays until
 * the cluster ends, and its first process, with which everything in it dies. Both end with the test's thread.
 *
 * @module
 */
import { join } from "../../runtime/path.ts";
import { etcFiles, type HostFolder, type HostOptions } from "./cluster_folder.ts";
import {
  type Cable,
  clusterPath,
  layCable,
  letConnectionsGo,
  plugCable,
  pullCable,
  removeCable,
} from "./cluster_network.ts";
import { eventually } from "./eventually.ts";
import { connectionsBeside, type Listener, listenersBeside } from "./ports.ts";
import { killAll, type ProcessEntry, processesBeside, processOf, programOf } from "./processes.ts";
import { type Finished, Program } from "./program.ts";
import type { Executable } from "./world.ts";

const rbeePrograms: readonly Executable[] = ["rbee", "rbee-keeper", "queen-rbee", "rbee-hive", "llm-worker-rbee"];

/** What the case does; arguments: folder, the person's home, bytes of its disk (0: none), pairs of home. */
const caseScript = `set -e
folder=$1 home=$2 disk=$3; shift 3
[ "$disk" = 0 ] || mount -t tmpfs -o "size=$disk,mode=700" disk "$folder/home"
while [ $# -gt 0 ]; do
  there="$folder/home/$1"
  mkdir -p "$(dirname "$there")"
  if [ -d "$2" ]; then mkdir -p "$there"; else : >"$there"; fi
  mount --bind "$2" "$there"; shift 2
done
for file in ${etcFiles.join(" ")}; do mount --bind "$folder/etc/$file" "/etc/$file"; done
mount --rbind "$folder/home" "$home"
echo ready; exec sleep infinity`;

/** What the first process does; the kernel buries the dead for one that ignores them. Argument: name. */
const bootScript = `set -e
hostname "$1"
mount -t tmpfs -o mode=1777 tmp /tmp; mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run; mkdir -m 755 /run/sshd
echo ready; exec env --ignore-signal=CHLD sleep infinity`;

/** One machine of a cluster. */
export class ClusterHost {
  readonly name: string;
  /** Its address at the cable, and that of this machine as it sees us. */
  readonly address: string;
  readonly controlAddress: string;
  /** Its person's name and home (as the host itself calls it). */
  readonly user: string;
  readonly userHome: string;
  /** Its public host key, as known_hosts takes it. */
  readonly hostKey: string;
  readonly #options: HostOptions;
  readonly #folder: string;
  readonly #cable: Cable;
  #case?: Program;
  #boot?: { program: Program; pid: number };

  /** Nothing runs before `start`. */
  constructor(options: HostOptions, { folder, cable }: { folder: HostFolder; cable: Cable }) {
    this.name = options.name;
    this.address = cable.there;
    this.controlAddress = cable.here;
    this.user = folder.user;
    this.userHome = folder.userHome;
    this.hostKey = folder.hostKey;
    this.#options = options;
    this.#folder = folder.path;
    this.#cable = cable;
  }

  /** Turns it on for the first time: resolves when its sshd answers. */
  async start(): Promise<void> {
    const { home = {}, diskBytes = 0 } = this.#options;
    const pairs = Object.entries(home).flat();
    this.#case = this.#dying("unshare", ["--net", "--mount", "sh", "-c", caseScript, "sh"], [
      ...[this.#folder, this.userHome, String(diskBytes)],
      ...pairs,
    ]);
    await this.#case.sees(/ready/, { withinMs: 5_000, stream: "stdout" });
    await layCable(this.#cable, this.#case.pid);
    await this.powerOn();
  }

  /** Its home as this machine sees it: valid until the cluster ends. */
  get home(): string {
    const path = join(this.#folder, "home");
    return this.#options.diskBytes ? `/proc/${this.#casePid}/root${path}` : path;
  }

  /** What its sshd has logged. */
  get sshdLog(): string {
    return Deno.readTextFileSync(join(this.#folder, "etc/ssh/log"));
  }

  /** Starts a command inside, as its person with an empty environment; it dies with the host at the latest. */
  run(args: readonly string[], options: { env?: Record<string, string>; stdin?: string | "open" } = {}): Program {
    const { pid } = this.#running();
    const inside = ["--target", String(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--", ...args];
    const env = { HOME: this.userHome, USER: this.user, LANG: "C.UTF-8", ...options.env };
    return this.#dying("nsenter", inside, [], { ...options, env });
  }

  /** Runs a command inside to its end. Throws after 3 × `withinMs` (10 s). */
  async exec(
    args: readonly string[],
    options: { env?: Record<string, string>; stdin?: string; withinMs?: number } = {},
  ): Promise<Finished> {
    return await this.run(args, options).ends(options.withinMs ?? 10_000);
  }

  /** The living processes in it but the first; their ids are those seen from here, so a test can kill them. */
  processes(): ProcessEntry[] {
    return this.#boot ? processesBeside(this.#boot.pid) : [];
  }

  /** The living rbee processes in it. */
  rbeeProcesses(program?: Executable): ProcessEntry[] {
    const wanted: readonly string[] = program ? [program] : rbeePrograms;
    return this.processes().filter((process) => wanted.includes(programOf(process)));
  }

  /** What listens in it on TCP. */
  listeners(): Listener[] {
    return listenersBeside(this.#casePid);
  }

  /** The TCP ports in it that another machine could connect to. */
  openPorts(): number[] {
    return [...new Set(this.listeners().filter(({ isLoopback }) => !isLoopback).map(({ port }) => port))].sort((a, b) =>
      a - b
    );
  }

  /** Pulls the cable: connections go silent, nobody is told. */
  async pullCable(): Promise<void> {
    await pullCable(this.#casePid);
  }

  /** Plugs the cable in again. */
  async plugCable(): Promise<void> {
    await plugCable(this.#casePid);
  }

  /** Kills every process in it; its disk and its cable stay. */
  async powerOff(): Promise<void> {
    if (!this.#boot) return;
    const { program, pid } = this.#boot;
    killAll([processOf(pid)].flatMap((process) => process ?? []));
    await program.ends(5_000);
    this.#boot = undefined;
  }

  /** Starts it again, with its sshd. */
  async powerOn(): Promise<void> {
    const into = [`--net=/proc/${this.#casePid}/ns/net`, `--mount=/proc/${this.#casePid}/ns/mnt`];
    const apart = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"];
    const program = this.#dying("nsenter", [...into, ...apart, "sh", "-c", bootScript, "sh", this.name]);
    await program.sees(/ready/, { withinMs: 5_000, stream: "stdout" });
    const children = Deno.readTextFileSync(`/proc/${program.pid}/task/${program.pid}/children`);
    this.#boot = { program, pid: parseInt(children) };
    await this.startSshd();
  }

  /** Off and on again. `cut`: as at a power cut, nobody who was connected hears of its end, and it has forgotten them. */
  async reboot({ cut = false }: { cut?: boolean } = {}): Promise<void> {
    if (cut) {
      await this.pullCable();
      await letConnectionsGo(this.#casePid);
    }
    await this.powerOff();
    if (cut) {
      await eventually(() => connectionsBeside(this.#casePid) === 0, {
        withinMs: 5_000,
        what: `${this.name} has forgotten who was connected`,
      });
      await this.plugCable();
    }
    await this.powerOn();
  }

  /** Starts sshd in it. */
  async startSshd(): Promise<void> {
    const { code, stderr } = await this.exec(["/usr/sbin/sshd", "-E", "/etc/ssh/log"]);
    if (code !== 0) throw new Error(`Cannot start the sshd of ${this.name}: ${stderr}`);
    await eventually(() => this.openPorts().includes(22), {
      withinMs: 5_000,
      what: `sshd of ${this.name} listens`,
      everyMs: 5,
      seen: () => this.sshdLog,
    });
  }

  /** Kills the sshd that listens, those that serve a login, or both; what they started is left alone. */
  async killSshd(which: "listener" | "sessions" | "all" = "all"): Promise<void> {
    const matching = () =>
      this.processes().filter((process) => {
        const title = process.args.join(" ");
        if (!/^sshd(-session|-auth)?: |^\/usr\/sbin\/sshd /.test(title)) return false;
        return which === "all" || (which === "listener") === /\[listener\]|^\/usr\/sbin\/sshd /.test(title);
      });
    await eventually(() => {
      const left = matching();
      killAll(left);
      return left.length === 0;
    }, { withinMs: 5_000, what: `no sshd (${which}) runs on ${this.name}`, everyMs: 10 });
  }

  /** Fills the disk of a host with `diskBytes` to the last byte; returns how many bytes that took. */
  async fillDisk(): Promise<number> {
    if (!this.#options.diskBytes) throw new Error(`Cannot fill the disk of ${this.name}: it has no diskBytes`);
    await this.exec(["sh", "-c", "cat /dev/zero >> ~/filler"]);
    return (await Deno.stat(join(this.home, "filler"))).size;
  }

  /** Frees what `fillDisk` took. */
  async freeDisk(): Promise<void> {
    await Deno.remove(join(this.home, "filler"));
  }

  /** Ends it with all that is in it. */
  async end(): Promise<void> {
    await this.powerOff();
    this.#case?.signal("SIGKILL");
    await this.#case?.ends(5_000);
    await removeCable(this.#cable);
  }

  #running(): { program: Program; pid: number } {
    if (!this.#boot) throw new Error(`Cannot use ${this.name}: it is off`);
    return this.#boot;
  }

  get #casePid(): number {
    if (!this.#case) throw new Error(`Cannot use ${this.name}: it was never started`);
    return this.#case.pid;
  }

  /** Starts a program that the kernel kills when the test's thread ends. */
  #dying(
    exe: string,
    args: readonly string[],
    more: readonly string[] = [],
    options: { env?: Record<string, string>; stdin?: string | "open" } = {},
  ): Program {
    return new Program({
      exe: "setpriv",
      args: ["--pdeathsig", "KILL", exe, ...args, ...more],
      cwd: "/",
      // The next run finds by it what a killed one left.
      env: { PATH: clusterPath, ...(options.env ?? { RBEE_HOME: this.#folder }) },
      stdin: options.stdin,
    });
  }
}
