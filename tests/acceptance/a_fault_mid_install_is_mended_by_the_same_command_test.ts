import { installFaults } from "../support/install_faults.ts";
import { testFaults } from "../support/node_fault_runs.ts";

testFaults({
  name: "what strikes a machine mid-install is told, and the same command once more makes it whole",
  // The others strike in `deno task soak`: each of these sends a hundred megabytes.
  faults: installFaults.filter(({ name }) => /^(pull-cable|reboot)/.test(name)),
  isShared: true,
});
