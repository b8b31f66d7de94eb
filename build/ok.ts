/** `deno task ok`: format, lint, types, docs, tidy. Exit code 0 when all hold. */
import { type CheckResult, CHECKS, runChecks, tidy } from "./checks.ts";

/** Prints a check's result to stderr: one line, and what the tool said when it failed. */
export function showCheck({ name, problem, seconds }: CheckResult): void {
  console.error(`[build] ${problem ? "✗" : "✓"} ${name} (${seconds.toFixed(1)} s)`);
  if (problem) console.error(problem);
}

if (import.meta.main) {
  const results = await runChecks({ ...CHECKS, tidy }, showCheck);
  Deno.exit(results.some((result) => result.problem) ? 1 : 0);
}
