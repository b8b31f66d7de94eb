/**
 * How a keeper must end when something happens to it or to what stands behind it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertOneClearError } from "./flows.ts";
import type { Finished } from "./program.ts";

/** Asserts that the user's own interruption is acknowledged: exit 130, `Canceled.`, no error. */
export function assertCanceled({ code, stderr }: Finished): void {
  assert.equal(code, 130, `exit code of a canceled command: ${stderr}`);
  assert.match(stderr, /Canceled\.\n/);
  assert.doesNotMatch(stderr, /Error:/);
}

/** Asserts that the answer is whole, or that one clear error stands where it stops. */
export function assertAnswerOrError(finished: Finished): void {
  if (finished.code === 0) assert.match(finished.stdout, /\S/, "exit code 0 with a text");
  else assertBroken(finished);
}

/** Asserts one clear error (one of `codes`), and that the text that came until then was saved as it was shown. */
export function assertBroken(finished: Finished, codes?: readonly string[]): void {
  const code = assertOneClearError(finished);
  if (codes) assert.ok(codes.includes(code), `${codes.join(" or ")}: ${finished.stderr}`);
  if (finished.stdout.trim() === "") return;
  const path = finished.stderr.match(/(\/\S*rbee-partial-\S+\.txt)/)?.[1];
  assert.ok(path, `the partial text was saved: ${finished.stderr}`);
  assert.equal(Deno.readTextFileSync(path).trimEnd(), finished.stdout.trimEnd(), "the saved text is the shown one");
}
