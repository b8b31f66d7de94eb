Feature: What an error looks like

  @S53
  Scenario: Code, message and numbers of an error about memory
    Given a machine that is described with 0 "cuda" devices and 4000 MB of free memory
    And a queen that stays
    And a model file of 5000 MB
    When the queen is sent a task for that file, not as a stream
    Then the status is 503
    And the error has the code "VRAM_EXHAUSTED" of the defined list
    And its message names 6000 MB and 4000 MB
    And its details are required 6000 and available 4000
    When a person runs 'infer --node local --model $HUGE --prompt "hello"'
    Then it fails with exit code 1
    And stderr holds these lines in order
      | Error: .*VRAM_EXHAUSTED |
      | Required: 6000 MB       |
      | Available: 4000 MB      |
      | Suggestion: .*Q4        |
