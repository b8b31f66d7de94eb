import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { Lease } from "./lease.ts";

const one = { queen_id: "q1", host: "desk" };
const other = { queen_id: "q2", host: "lap" };

Deno.test("a lease lives as long as it is renewed, and counts from the start when nobody ever came", () => {
  let now = 1_000;
  const lease = new Lease({ leased: true, leaseMs: 15_000, now: () => now });
  now += 14_999;
  assert.equal(lease.isOver(), false);
  lease.renew(one);
  now += 14_999;
  assert.equal(lease.isOver(), false);
  now += 1;
  assert.equal(lease.isOver(), true);
});

Deno.test("another queen is refused with the holder's host until the lease is over", () => {
  let now = 0;
  const lease = new Lease({ leased: true, leaseMs: 15_000, now: () => now });
  lease.renew(one);
  now = 14_000;
  assert.throws(() => lease.renew(other), (error: RbeeError) => {
    assert.equal(error.code, "HIVE_LEASED");
    assert.equal(error.status, 409);
    return error.message.includes("desk") && error.details.host === "desk";
  });
  now = 15_000;
  lease.renew(other);
  assert.throws(() => lease.renew(one), /lap/);
});

Deno.test("a hive that an operator started has no lease: every queen may use it and it never ends by itself", () => {
  let now = 0;
  const lease = new Lease({ leased: false, now: () => now });
  lease.renew(one);
  lease.renew(other);
  now = 1e9;
  assert.equal(lease.isOver(), false);
});
