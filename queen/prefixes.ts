/**
 * Which beginnings of prompts a worker has seen lately, so that the next prompt that begins alike goes there and is not
 * computed again. Prompts themselves are not kept, only hashes of their beginnings. Pure.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

/** Tokens that a block of text is about. */
export const tokensPerBlock: number = limits.prefixBlockChars / 4;

/**
 * Returns the hashes of a text's beginnings: of its first block, of its first two, and so on. Texts that have the first
 * n in common begin with the same n blocks. At most `prefixBlocksMax`; what is left of the last block does not count.
 */
export function blocksOf(text: string): number[] {
  const blocks: number[] = [];
  const count = Math.min(limits.prefixBlocksMax, Math.floor(text.length / limits.prefixBlockChars));
  let hash = 0x811c9dc5;
  for (let block = 0; block < count; block++) {
    const end = (block + 1) * limits.prefixBlockChars;
    for (let at = block * limits.prefixBlockChars; at < end; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    }
    blocks.push(hash >>> 0);
  }
  return blocks;
}

/** The prompts that workers have seen lately: as many for each as it has slots, for each slot keeps its last one. */
export class Prefixes {
  readonly #seen = new Map<string, (readonly number[])[]>();

  /** Notes that a worker is given a prompt. */
  note(worker: string, blocks: readonly number[], slots: number): void {
    const seen = this.#seen.get(worker) ?? [];
    // One that this prompt continues is in the same slot, which now holds the longer one.
    const rest = seen.filter((one) => common(one, blocks) < one.length);
    this.#seen.set(worker, [...(blocks.length > 0 ? [blocks] : []), ...rest].slice(0, Math.max(1, slots)));
  }

  /** Returns how many leading blocks a worker has seen. */
  common(worker: string, blocks: readonly number[]): number {
    let most = 0;
    for (const one of this.#seen.get(worker) ?? []) most = Math.max(most, common(one, blocks));
    return most;
  }

  /** Forgets a worker. */
  forget(worker: string): void {
    this.#seen.delete(worker);
  }
}

function common(a: readonly number[], b: readonly number[]): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}
