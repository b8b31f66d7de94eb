import { nodeFaultAtRest, testNodeFaults } from "../support/node_fault_runs.ts";
import { nodeFaults } from "../support/node_faults.ts";

const played = nodeFaults.filter(({ name }) => !name.startsWith("pull-cable"));

testNodeFaults("what strikes one machine at rest leaves no orphan there and disturbs no other", played, {
  promise: ({ leaves }) => `${leaves} is left there, the next infer works`,
  play: nodeFaultAtRest,
});
