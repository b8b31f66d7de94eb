/**
 * `deno task test [paths] [flags of deno test]`: checks, executables, tests; the last line is `N passed, N failed`.
 * With paths only those tests run (behind fresh executables), without the checks.
 */
import { removeLostCables } from "../tests/support/cluster_network.ts";
import { killAll, processesUnder } from "../tests/support/processes.ts";
import { removeFolder, temporaryFolder } from "../tests/support/temporary.ts";
import { CHECKS, runChecks } from "./checks.ts";
import { compileAll } from "./compile.ts";
import { fromRoot, say } from "./files.ts";
import { showCheck } from "./ok.ts";
import { provideTestModel } from "./test_model.ts";
import { provideTestNeeds } from "./test_needs.ts";
import { Tally } from "./test_tally.ts";

const RUN_MS_MAX = 20 * 60_000;

/** Runs everything asked for and returns the exit code: 0, 1, or 130 after Ctrl+C. */
export async function runTests(args: readonly string[]): Promise<number> {
  const tally = new Tally();
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  // `deno task` sends a second SIGINT; while we clean up it must not end us.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, interrupt);
  const isWhole = !args.some((arg) => !arg.startsWith("-"));
  if (isWhole) {
    const checks = await runChecks(CHECKS, showCheck);
    for (const { problem } of checks) tally.count(problem === "");
  }
  if (!stop.signal.aborted) {
    try {
      await provideTestNeeds();
      await provideTestModel();
      await compileAll();
      await denoTest(args, { tally, isWhole, signal: stop.signal });
    } catch (error) {
      say(`✗ ${error instanceof Error ? error.message : error}`);
      tally.count(false);
    }
  }
  for (const line of tally.notRun) console.log(`not run: ${line}`);
  console.log(tally.summary());
  if (stop.signal.aborted) return 130;
  return tally.isGood({ isStrict: Deno.env.get("CI") === "true" }) ? 0 : 1;
}

interface DenoTestOptions {
  readonly tally: Tally;
  readonly isWhole: boolean;
  readonly signal: AbortSignal;
}

async function denoTest(args: readonly string[], { tally, isWhole, signal }: DenoTestOptions): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    // The whole run has just checked the types of everything.
    args: ["test", "-A", "--parallel", ...(isWhole ? ["--no-check"] : []), ...args],
    cwd: fromRoot(""),
    // NO_COLOR: the output is read here.
    env: { NO_COLOR: "1", DENO_JOBS: Deno.env.get("DENO_JOBS") ?? jobsFor(args) },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const end = (): void => {
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended */ }
  };
  const bound = setTimeout(end, RUN_MS_MAX);
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  for await (const line of linesOf(child.stdout)) {
    console.log(line);
    tally.read(line);
  }
  const status = await child.status;
  clearTimeout(bound);
  const left = sweep(child.pid);
  await removeLostCables();
  if (signal.aborted) return;
  for (const process of left) say(`✗ left behind by a test: ${process}`);
  if (left.length > 0 || (!status.success && tally.failed === 0)) tally.count(false);
}

/** Two files at a time: more would make tests of time-outs wait for a core. Scenarios by themselves wait most of the time. */
function jobsFor(args: readonly string[]): string {
  const paths = args.filter((arg) => !arg.startsWith("-"));
  return paths.length > 0 && paths.every((path) => path.startsWith("tests/features")) ? "6" : "2";
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest) yield rest;
}

/** Ends what the tests of that process left running (told by RBEE_HOME), removes its folders, returns what it ended. */
function sweep(testPid: number): string[] {
  const left: string[] = [];
  for (const entry of Deno.readDirSync(temporaryFolder())) {
    if (!entry.isDirectory || !entry.name.startsWith(`rbee-t${testPid}-`)) continue;
    const folder = `${temporaryFolder()}/${entry.name}`;
    const processes = processesUnder(folder);
    left.push(...processes.map(({ pid, args }) => `${pid} ${args.join(" ")}`));
    killAll(processes);
    removeFolder(folder);
  }
  return left;
}

if (import.meta.main) Deno.exit(await runTests(Deno.args));
