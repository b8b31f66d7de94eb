import { installFaults } from "../support/install_faults.ts";
import { testFaults } from "../support/node_fault_runs.ts";

testFaults({
  name: "what happens while rbee is sent to another machine is told, and the same command again makes it whole",
  faults: installFaults,
  isShared: false,
});
