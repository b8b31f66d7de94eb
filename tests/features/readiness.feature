Feature: From loading to ready

  @S30
  Scenario: A worker that loads says so and where its progress can be followed
    Given a hive that an operator started
    And a worker that has just begun to load "$LARGE"
    When the worker is asked "GET /v1/ready"
    Then the answer says that it is not ready, is "loading", and gives the address of its progress
    And at that address there is progress by layers

  @S31
  Scenario: The progress of loading, layer by layer
    Given a hive that an operator started
    And a worker that has just begun to load "$LARGE"
    When its progress is followed to the end
    Then it counts loaded layers up to 32 of 32 with their memory
    And the last event but the end mark is "ready"
    When a person at a terminal runs 'infer --model $LARGE --prompt "hello" --max-tokens 2 --ignore-eos'
    Then they see how many of 32 layers are loaded

  @S32
  Scenario: A worker that has loaded says so, and the inference follows
    Given a hive that an operator started
    And a worker that has just begun to load "builtin:tiny"
    When it is ready
    And the worker is asked "GET /v1/ready"
    Then the answer is exactly '{"ready":true,"state":"idle","model_loaded":true}'
    And the worker answers a prompt with tokens

  @S33
  Scenario: Loading that gets stuck is given up, and the error says where it stood
    Given loading may take 3 seconds
    And a queen that stays
    When a task for "$LARGE" is sent to the queen and its worker gets stuck while loading
    Then the stream ends with the error "LOADING_TIMEOUT" and the end mark
    And its details hold the state "loading" and how many of 32 layers were loaded
    And its hint speaks of the worker's log
