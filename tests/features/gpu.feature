Feature: The same on a GPU

  @S07 @S27 @S58 @gpu
  Scenario: A cold start on the GPU
    Given a queen that stays
    When a person infers 20 tokens of "write a short story" on the GPU
    Then it succeeds and writes text
    And stderr holds "Starting a worker for"
    And stderr holds "20 tokens"
    And the one worker computes on the GPU

  @S08 @S25 @gpu
  Scenario: A warm start uses the worker on the GPU
    Given a queen that stays
    And a worker on the GPU that has answered
    When a person infers 20 tokens of "write a poem" on the GPU
    Then it succeeds and writes text
    And stderr does not hold "Starting"
    And the one worker computes on the GPU
