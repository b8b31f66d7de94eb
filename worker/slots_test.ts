import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { Lifecycle } from "./lifecycle.ts";
import { sharedPrefix, Slots } from "./slots.ts";

function slotsOf(total: number): Slots {
  return new Slots(new Lifecycle({ workerId: "w", slotsTotal: total }));
}

/** Takes a slot and gives it back, as a request that has ended. */
function use(slots: Slots, tokens: number[]): number {
  using slot = slots.take(tokens);
  return slot.index;
}

Deno.test("all slots taken is refused with both numbers", () => {
  const slots = slotsOf(2);
  slots.take([1]);
  slots.take([2]);
  assert.throws(() => slots.take([3]), (error) => {
    assert(error instanceof RbeeError && error.code === "ALL_SLOTS_BUSY");
    assert.deepEqual(error.details, { slots_total: 2, slots_busy: 2 });
    return true;
  });
});

Deno.test("a slot that was given back can be taken again, and giving it back twice frees nobody else's", () => {
  const slots = slotsOf(1);
  const first = slots.take([1]);
  first[Symbol.dispose]();
  slots.take([2]);
  first[Symbol.dispose]();
  assert.throws(() => slots.checkFree(), /busy/);
});

Deno.test("the slot that holds the longest common beginning is preferred", () => {
  const slots = slotsOf(3);
  const held = [[1, 2, 3], [1, 2, 9, 9], [7]].map((tokens) => slots.take(tokens));
  for (const slot of held) slot[Symbol.dispose]();
  assert.equal(use(slots, [1, 2, 9, 5]), 1);
  assert.equal(use(slots, [7, 7]), 2);
  assert.equal(use(slots, [1, 2, 3, 4]), 0);
});

Deno.test("without a common beginning an unused slot goes first, then the one used longest ago", () => {
  const slots = slotsOf(3);
  assert.deepEqual([use(slots, [1]), use(slots, [2]), use(slots, [3]), use(slots, [4])], [0, 1, 2, 0]);
});

Deno.test("a busy slot is not taken, however well it fits", () => {
  const slots = slotsOf(2);
  const first = slots.take([1, 2, 3]);
  assert.equal(first.index, 0);
  assert.equal(slots.take([1, 2, 3]).index, 1);
});

Deno.test("the shared prefix ends where either list ends or they differ", () => {
  assert.equal(sharedPrefix([], [1]), 0);
  assert.equal(sharedPrefix([1, 2], [1, 2, 3]), 2);
  assert.equal(sharedPrefix([1, 5], [1, 2]), 1);
});
