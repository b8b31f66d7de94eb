import { testFaults } from "../support/node_fault_runs.ts";
import { oddMachines } from "../support/odd_machines.ts";

testFaults({
  name: "what is wrong with another machine gets one clear message, or disturbs nothing",
  faults: oddMachines,
  isShared: false,
});
