Feature: What a hive already has
  Before a worker is started, the queen asks the hive for those it has.

  @S09
  Scenario: A hive without workers lists none, and an inference goes on to start one
    Given a hive that an operator started
    When the hive is asked "GET /v1/workers/list"
    Then the answer is exactly '{"workers":[]}'
    When a person runs 'infer --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text
    And the hive lists 1 worker for "builtin:tiny"

  @S10
  Scenario: An idle worker that holds the model is used as it is
    Given a queen that stays
    And a worker that has loaded "builtin:tiny"
    And the hive lists that worker as "idle"
    When a person runs 'infer --prompt "again" --max-tokens 4'
    Then it succeeds and writes text
    And the hive still has that one worker process

  @S11
  Scenario: A busy worker that holds the model is waited for, and no second one is started
    Given a queen that stays
    And a worker whose only slot is busy with a long answer
    When a person runs 'infer --node local --model $SLOW --prompt "me too" --max-tokens 4 --wait 1s'
    Then it fails with exit code 1
    And the error names the code "ALL_SLOTS_BUSY"
    And the hive still has that one worker process
