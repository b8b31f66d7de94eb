import { midStream, testFaults } from "../support/node_fault_runs.ts";
import { nodeFaults } from "../support/node_faults.ts";

testFaults({
  name: "what strikes one machine mid-stream ends the answer there and no other",
  faults: nodeFaults.map(midStream),
  isShared: true,
});
