Feature: What is checked before a worker starts
  Devices are described by the probe command of the configuration, since no test machine has them all.

  @S25
  Scenario: A backend that the machine has passes
    Given a machine that is described with 1 "cuda" device and 8000 MB of free memory
    And a hive that an operator started
    When the hive is asked to start a worker for "builtin:tiny" on "cuda" device 0
    Then preflight lets it pass: whatever the answer says, it is not about the backend, the device or memory
    And the hive's detection lists 1 "cuda" device

  @S26
  Scenario: A backend that the machine does not have is refused by name
    Given a machine that is described with 1 "cuda" device and 8000 MB of free memory
    When a person runs 'infer --node local --prompt "hello" --backend metal --device 0'
    Then it fails with exit code 1
    And the error names the code "BACKEND_UNAVAILABLE"
    And stderr holds "metal"
    And no worker was ever started
