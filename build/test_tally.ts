/** Counts what `deno test` prints, so that a run can end with one line. */

/** A scenario that needs a GPU may stay out anywhere; every other one must run where `CI=true`. */
const MAY_STAY_OUT = /GPU/;

/** The sums of one run. */
export class Tally {
  passed = 0;
  failed = 0;
  /** Names of tests that this machine can't run, each with the line to type where it can. */
  readonly notRun: string[] = [];

  /** Counts one check or one step of the build. */
  count(isGood: boolean): void {
    if (isGood) this.passed++;
    else this.failed++;
  }

  /** Reads one line of `deno test`'s output (without colours): its sums, or a test it left out. */
  read(line: string): void {
    // Steps are indented and belong to their test; a parallel run puts the file before the name.
    const ignored = line.match(/^(?:\.\/\S+ => )?(\S.*) \.\.\. ignored\b/);
    if (ignored) this.notRun.push(ignored[1]);
    const sums = line.match(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/);
    if (!sums) return;
    this.passed += Number(sums[1]);
    this.failed += Number(sums[2]);
  }

  /** Returns true when nothing failed, something ran, and (when strict) nothing stayed out but for want of a GPU. */
  isGood({ isStrict }: { isStrict: boolean }): boolean {
    const missed = this.notRun.filter((name) => !MAY_STAY_OUT.test(name));
    return this.failed === 0 && this.passed > 0 && (!isStrict || missed.length === 0);
  }

  /** Returns the last line of a run: `12 passed, 0 failed`, with what was not run before it. */
  summary(): string {
    const sums = `${this.passed} passed, ${this.failed} failed`;
    return this.notRun.length > 0 ? `${this.notRun.length} not run\n${sums}` : sums;
  }
}
