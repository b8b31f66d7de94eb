/**
 * Appends the body of an answer to a part.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { Part } from "./download_part.ts";
import { readBody, type Watchdog } from "./download_read.ts";

/** How a body is appended. */
export interface Appending {
  /** Of the whole file; what comes after it is not read. */
  readonly size: number;
  readonly signal: AbortSignal;
  readonly quiet: Watchdog;
  /** Whether it is read to its end however slow it is. */
  readonly mayBeSlow: boolean;
  readonly onBytes: (bytes: number) => void;
  readonly onReceived: (bytes: number) => void;
}

/**
 * Appends what comes, gathered in pieces that are used in turns: one is filled while the other is written. Returns
 * whether the file is whole, the body broke off before, or it is `slow` and was left: several connections may be quicker.
 */
export async function append(
  response: Response,
  part: Part,
  appending: Appending,
): Promise<"whole" | "broken" | "slow"> {
  const { size, signal, quiet, onBytes, onReceived } = appending;
  const pieces = [new Uint8Array(limits.downloadPieceBytes), new Uint8Array(limits.downloadPieceBytes)];
  const slow = new AbortController();
  const isSlow = paceOf(part.bytes, appending);
  let filled = 0;
  let flushedAt = performance.now();
  const flush = async () => {
    flushedAt = performance.now();
    if (filled === 0) return;
    const bytes = pieces[0].subarray(0, filled);
    pieces.reverse();
    filled = 0;
    await part.add(bytes);
    onReceived(bytes.length);
    onBytes(part.bytes);
  };
  const either = AbortSignal.any([signal, slow.signal]);
  await readBody(response, { bytesMax: size - part.bytes, signal: either, quiet }, async (read) => {
    for (let at = 0; at < read.length;) {
      const some = read.subarray(at, at + limits.downloadPieceBytes - filled);
      pieces[0].set(some, filled);
      filled += some.length;
      at += some.length;
      if (filled === limits.downloadPieceBytes) await flush();
    }
    if (performance.now() - flushedAt > limits.downloadProgressMs) await flush();
    if (isSlow(part.bytes + filled)) slow.abort();
  });
  await flush();
  if (part.bytes === size) return "whole";
  return slow.signal.aborted ? "slow" : "broken";
}

/** Returns a look at whether it is slow: once, when it has had time to become fast, and while there is much to come. */
function paceOf(start: number, { size, mayBeSlow }: Appending): (bytes: number) => boolean {
  const begun = performance.now();
  let isSettled = mayBeSlow;
  return (bytes) => {
    const ms = performance.now() - begun;
    if (isSettled || ms < limits.downloadPaceMs) return false;
    isSettled = true;
    const perSecond = (bytes - start) / ms * 1_000;
    return perSecond < limits.downloadLanesBelowBytesPerSecond && size - bytes >= limits.downloadLanesFromBytes;
  };
}
