import { killFaults } from "../support/kill_faults.ts";
import { testFaults } from "../support/node_fault_runs.ts";

testFaults({
  name: "a queen or keeper that is killed leaves nothing on another machine",
  faults: killFaults,
  isShared: false,
});
