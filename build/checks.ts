/** What must hold before any test runs: format, lint, types, docs, and the tidy rules. */
import { missingDocs } from "./doc_lint.ts";
import { fromRoot } from "./files.ts";
import { sourceFiles } from "./source_list.ts";

/** One check: empty `problem` when it holds. */
export interface CheckResult {
  readonly name: string;
  /** What the tool said, or empty. */
  readonly problem: string;
  readonly seconds: number;
}

type Check = () => Promise<string>;

/** The checks of `deno task ok`; the tidy rules are tests, so `task test` leaves them to its own run. */
export const CHECKS: Readonly<Record<string, Check>> = {
  format: () => deno("fmt", "--check"),
  lint: () => deno("lint"),
  types: () => deno("check", "--quiet", "."),
  // By itself: in the workspace's one check another member could lend it Deno's types.
  "types of protocol": async () => await deno("check", "--quiet", ...await purely("protocol")),
  docs: missingDocs,
};

/** Returns what tests/tidy_test.ts says when it fails, for `deno task ok`; empty when it holds. */
export async function tidy(): Promise<string> {
  return await deno("test", "-A", "--no-check", "--quiet", "tests/tidy_test.ts");
}

/** Runs checks at once, calls `done` as each ends, and returns all results. */
export async function runChecks(
  checks: Readonly<Record<string, Check>>,
  done: (result: CheckResult) => void,
): Promise<CheckResult[]> {
  return await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const start = performance.now();
      const problem = await check().catch((error) => String(error));
      const result = { name, problem, seconds: (performance.now() - start) / 1000 };
      done(result);
      return result;
    }),
  );
}

async function purely(member: string): Promise<string[]> {
  return (await sourceFiles()).filter((path) => path.startsWith(`${member}/`) && !path.endsWith("_test.ts"));
}

async function deno(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: fromRoot(""),
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return "";
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return withoutBacktrace(said) || `deno ${args[0]} failed`;
}

/** Deno 2.7.11 prints its own stack of unknown frames behind every failed check. */
function withoutBacktrace(text: string): string {
  return text.replace(/\n+Stack backtrace:\n[\s\S]*$/, "").trim();
}
