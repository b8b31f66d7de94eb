Feature: One inference

  @S34
  Scenario: Tokens over server-sent events
    Given a hive that an operator started
    And a worker that has just begun to load "$SLOW"
    And it is ready
    When it is asked for 20 tokens of "write a short story" with its key
    Then the answer is an event stream of tokens with indexes from 0
    And the terminal event says done, 20 tokens and how long it took, and the end mark follows
    And the worker went from "idle" to "busy" and back to "idle"
    When a person runs 'infer --model $SLOW --prompt "write a short story" --max-tokens 20 --ignore-eos'
    Then it succeeds, and stdout came in many pieces over time

  @S35
  Scenario: A busy worker refuses, and the keeper tries for a while
    Given a queen that stays
    And a worker whose only slot is busy with a long answer
    When the worker is asked for another answer
    Then the status is 503 and the error is "ALL_SLOTS_BUSY" with 1 of 1 slots busy, to be tried again later
    When a person runs 'infer --node local --model $SLOW --prompt "me too" --max-tokens 4'
    Then it fails with exit code 1
    And it was told after 1, 2 and 4 seconds that the worker is busy
    And stderr holds a suggestion to wait or to use another node
