/**
 * How long a machine with nothing but sshd takes until it answers: against the same bytes sent by plain `ssh`.
 *
 * @module
 */
import { join } from "../../runtime/path.ts";
import { canRunCluster, clusterMissing } from "../support/cluster.ts";
import { NodeCluster } from "../support/nodes.ts";
import { Program } from "../support/program.ts";
import { executables, World } from "../support/world.ts";
import { median, percentile, say, sayTable } from "./figures.ts";

const times = 5;
const name = "box";
const sent = ["rbee-hive", "llm-worker-rbee"];

/** Measures and prints. */
export async function run(): Promise<void> {
  if (!canRunCluster()) return say(`\ninstall${clusterMissing()}`);
  const runs: Run[] = [];
  for (let time = 0; time <= times; time++) runs.push(await once());
  runs.shift(); // it reads the executables into the page cache
  const all = (key: keyof Run) => runs.map((one) => one[key]);
  const floor = median(all("plain"));
  const row = (what: string, values: readonly number[], goal: string): (string | number)[] => {
    return [what, median(values) / 1_000, percentile(values, 1) / 1_000, goal, (median(values) / floor).toFixed(2)];
  };
  say(`\ninstall on another machine over a veth pair, ${times} runs, seconds; median and slowest`);
  sayTable([
    ["", "median", "slowest", "goal", "ratio to plain ssh"],
    row("the same bytes by ssh 'cat >file'", all("plain"), ""),
    row("setup add-node", all("add"), ""),
    row("setup install, first", all("first"), "20"),
    row("infer, first token, after it", all("token"), ""),
    row("add-node + install + first token", runs.map((one) => one.add + one.first + one.token), "60"),
    row("setup install, second", all("second"), "2"),
    row("setup install, second, while a queen runs", all("secondUp"), "2"),
  ]);
}

/** Milliseconds. */
interface Run {
  readonly plain: number;
  readonly add: number;
  readonly first: number;
  readonly token: number;
  readonly second: number;
  readonly secondUp: number;
}

/** All of it on a new machine, as a person has it for whom nothing runs. */
async function once(): Promise<Run> {
  await using world = new World();
  const { cluster } = await NodeCluster.create(world, [{ name, isBare: true }]);
  const rbee = async (...args: string[]) => (await good(world.start("rbee", args))).durationMs;
  const plain = await plainMs(join(cluster.ssh.bin, "ssh"), world);
  const add = await rbee(
    "setup",
    "add-node",
    "--name",
    name,
    "--ssh-host",
    name,
    "--ssh-user",
    cluster.host(name).user,
  );
  const first = await rbee("setup", "install", "--node", name);
  const infer = world.start("rbee", ["infer", "--node", name, "--prompt", "a short story", "--max-tokens", "8"]);
  await good(infer);
  const token = infer.pieces.find(({ stream }) => stream === "stdout")?.atMs ?? NaN;
  const second = await rbee("setup", "install", "--node", name);
  await world.up();
  await rbee("setup", "install", "--node", name);
  return { plain, add, first, token, second, secondUp: await rbee("setup", "install", "--node", name) };
}

async function plainMs(ssh: string, world: World): Promise<number> {
  const files = sent.map((file) => `'${join(executables, file)}'`).join(" ");
  const line = `cat ${files} | ${ssh} -o BatchMode=yes ${name} 'cat >file && rm file'`;
  return (await good(new Program({ exe: "sh", args: ["-c", line], cwd: "/", env: world.environment() }))).durationMs;
}

async function good(program: Program) {
  const finished = await program.ends(60_000);
  if (finished.code !== 0) throw new Error(`Cannot measure: it failed\n${program.account()}`);
  return finished;
}
