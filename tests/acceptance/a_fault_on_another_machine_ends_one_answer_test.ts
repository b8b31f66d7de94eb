import { nodeFaultMidStream, testNodeFaults } from "../support/node_fault_runs.ts";
import { nodeFaults } from "../support/node_faults.ts";

testNodeFaults("what strikes one machine mid-stream ends the answer there and no other", nodeFaults, {
  promise: ({ ends }) =>
    ends
      ? "one clear error with the text so far, nothing that must go is left there, the next infer works"
      : "the answer goes on to its end",
  play: nodeFaultMidStream,
});
