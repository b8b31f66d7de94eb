import { deepStrictEqual, notDeepStrictEqual, strictEqual } from "node:assert/strict";
import { limits } from "../protocol/limits.ts";
import { blocksOf, Prefixes } from "./prefixes.ts";

const block = limits.prefixBlockChars;
const text = (blocks: string) => [...blocks].map((letter) => letter.repeat(block)).join("");

Deno.test("texts that begin alike have their first blocks in common, and no others", () => {
  const [a, b] = [blocksOf(text("xyz")), blocksOf(text("xyw"))];
  deepStrictEqual(a.slice(0, 2), b.slice(0, 2));
  notDeepStrictEqual(a[2], b[2]);
  notDeepStrictEqual(blocksOf(text("yz")), a.slice(1)); // the same piece elsewhere is another beginning
});

Deno.test("what is left of the last block does not count, and the number of blocks is bounded", () => {
  strictEqual(blocksOf("x".repeat(2 * block - 1)).length, 1);
  strictEqual(blocksOf("x".repeat(block - 1)).length, 0);
  strictEqual(blocksOf("x".repeat(block * (limits.prefixBlocksMax + 5))).length, limits.prefixBlocksMax);
});

Deno.test("a worker is remembered for as many prompts as it has slots, the newest ones", () => {
  const prefixes = new Prefixes();
  for (const one of ["ab", "cd", "ef"]) prefixes.note("w", blocksOf(text(one)), 2);
  strictEqual(prefixes.common("w", blocksOf(text("ax"))), 0);
  strictEqual(prefixes.common("w", blocksOf(text("cx"))), 1);
  strictEqual(prefixes.common("w", blocksOf(text("efg"))), 2);
  strictEqual(prefixes.common("another", blocksOf(text("ef"))), 0);
});

Deno.test("a prompt that continues another one takes its place", () => {
  const prefixes = new Prefixes();
  prefixes.note("w", blocksOf(text("ab")), 2);
  prefixes.note("w", blocksOf(text("xy")), 2);
  prefixes.note("w", blocksOf(text("abc")), 2);
  strictEqual(prefixes.common("w", blocksOf(text("xy"))), 2);
  prefixes.forget("w");
  strictEqual(prefixes.common("w", blocksOf(text("xy"))), 0);
});
