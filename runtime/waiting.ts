/**
 * Telling a person that something takes a while.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

/**
 * Tells now and then, until it is disposed, that the end of a hive (of all of them when no node is named) is waited for,
 * and since when; nothing when that does not take long.
 */
export function tellWaitForEnd(say: (human: string) => void, node?: string): Disposable {
  const begun = performance.now();
  const what = `running tasks and workers${node === undefined ? "" : ` on ${node}`}`;
  const again = () => {
    say(`⏳ Waiting for ${what} to end (${Math.round((performance.now() - begun) / 1_000)} s)`);
    timer = setTimeout(again, limits.progressLineMs);
  };
  let timer = setTimeout(again, limits.narrateAfterMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
