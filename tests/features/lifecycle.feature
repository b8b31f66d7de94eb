Feature: Who lives how long

  @S46
  Scenario: A hive stays when its worker has called back
    Given health is checked every 0.3 seconds
    And workers may idle for 4 seconds
    And a hive that an operator started
    And a worker that has just begun to load "builtin:tiny"
    When it is ready
    Then the hive runs on and answers
    And it asks the worker for its health again and again
    And it starts another worker for "builtin:tiny" when asked
    And it ends both when they have idled, and runs on

  @S47
  Scenario: A worker that stops answering is noticed, and removed at the third strike
    Given health is checked every 0.3 seconds
    And a hive that an operator started
    And a worker that has just begun to load "builtin:tiny"
    And it is ready
    When the worker is frozen
    Then the hive marks it "unhealthy"
    When the worker is thawed before the third strike
    Then the hive marks it "idle" with 0 failed checks
    When the worker is frozen
    Then after 3 failed checks it is gone from the list, and its process too
    And the hive runs on and answers

  @S48
  Scenario: The idle time-out ends the worker and not the hive
    Given workers may idle for 2 seconds
    And a hive that an operator started
    And a worker that has just begun to load "builtin:tiny"
    And it is ready
    And the worker answers a prompt with tokens
    When nobody asks for anything
    Then the worker ends by itself between 2 and 3 seconds after its last answer
    And the hive lists 0 workers
    And the hive runs on and answers

  @S49
  Scenario: A hive that is told to end takes its workers along
    Given a hive that an operator started
    And 3 workers that have loaded "builtin:tiny"
    When the hive gets SIGTERM
    Then it ends with exit code 0 within 5 seconds
    And nothing of it is left but its files
    And the model catalog is still on disk

  @S50
  Scenario: The keeper ends, the daemons live on
    Given a hive that an operator started
    And a queen that stays
    And a worker that has loaded "builtin:tiny"
    When a person runs 'infer --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text
    And the same hive, queen and worker run on
    And the hive lists 1 worker for "builtin:tiny"

  @S51
  Scenario: On a machine where nothing runs, the keeper starts all and leaves nothing
    Given nothing runs
    When a person starts 'infer --model $SLOW --prompt "hello" --max-tokens 20 --ignore-eos' and sees tokens
    Then the queen is a child of the keeper, the hive of the queen, the worker of the hive
    And it succeeds and writes text
    And nothing of it is left but its files

  @S52
  Scenario: What an operator started is used and left alone
    Given a hive that an operator started
    And a queen that an operator started
    When a person runs 'infer --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text
    And the same hive and queen run on, and no other
    And the hive lists 1 worker for "builtin:tiny"
