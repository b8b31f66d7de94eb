import { atRest, testFaults } from "../support/node_fault_runs.ts";
import { nodeFaults } from "../support/node_faults.ts";

testFaults({
  name: "what strikes one machine at rest leaves no orphan there and disturbs no other",
  faults: nodeFaults.filter(({ name }) => !name.startsWith("pull-cable")).map(atRest),
  isShared: true,
});
