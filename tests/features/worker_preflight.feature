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

  @S23
  Scenario: A model of 5000 MB passes with 8000 MB free
    Given a machine that is described with 8000 MB of free memory and no GPU
    And a hive that an operator started
    And a model file of 5000 MB
    When the hive is asked to start a worker for that file
    Then preflight lets it pass, and the worker loads it

  @S23
  Scenario: Two that are asked for at once are not promised the same memory
    Given a machine that is described with 8000 MB of free memory and no GPU
    And a hive that an operator started
    And a model file of 5000 MB
    When the hive is asked twice at once to start a worker for that file
    Then one of them starts, and the other is refused with "VRAM_EXHAUSTED"
    And the error requires 6000 MB, of which less than 3000 MB are available

  @S24
  Scenario: A model of 5000 MB is refused with 4000 MB free
    Given a machine that is described with 4000 MB of free memory and no GPU
    And a hive that an operator started
    And a model file of 5000 MB
    When the hive is asked to start a worker for that file
    Then the status is 503
    And the error has the code "VRAM_EXHAUSTED" of the defined list
    And its details are required 6000 and available 4000
    When a person runs 'infer --node local --model $HUGE --prompt "hello"'
    Then it fails with exit code 1
    And the error names the code "VRAM_EXHAUSTED"
    And stderr holds "Suggestion: Try a smaller quantized model, Q4 instead of Q8"
    And no worker was ever started
