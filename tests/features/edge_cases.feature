Feature: When something goes wrong on the way

  @S39
  Scenario: The worker dies in the middle of an answer
    Given a queen that stays
    And a person has started 'infer --model $SLOW --prompt "a long story" --max-tokens 200 --ignore-eos' and sees tokens
    When the worker is killed
    Then it fails with exit code 1
    And the error says that the stream closed unexpectedly
    And the tokens so far are on stdout and in the file that stderr names
    And stderr says how many of 200 tokens were generated
    And the hive lists 0 workers
    And the hive's log tells of the crash
    When a person runs 'infer --prompt "after that" --max-tokens 4'
    Then it succeeds and writes text

  @S40
  Scenario: Ctrl+C in the middle of an answer
    Given a queen that stays
    And a person has started 'infer --model $SLOW --prompt "a long story" --max-tokens 2000 --ignore-eos' and sees tokens
    When they press Ctrl+C
    Then it ends with exit code 130 and the line "Canceled."
    And within 1 second the worker is "idle" with a free slot

  @S41
  Scenario: All slots stay busy
    Given a queen that stays
    And a worker whose only slot is busy with a long answer
    When a person runs 'infer --node local --model $SLOW --prompt "me too" --max-tokens 4'
    Then it fails with exit code 1
    And stderr holds these lines in order
      | busy, retrying in 1 second  |
      | busy, retrying in 2 seconds |
      | busy, retrying in 4 seconds |
      | Error: .*still busy after 3 retries |
      | Suggestion: .*(W\|w)ait .*another node |

  @S42
  Scenario: Loading takes too long
    Given loading may take 3 seconds
    When a person starts 'infer --model $LARGE --prompt "hello"' and its worker gets stuck while loading
    Then it fails with exit code 1
    And stderr holds these lines in order
      | Error: Model loading timeout after 3 seconds |
      | Worker state: loading \(stuck at \d+/32 layers\) |
      | Suggestion: .*log                  |
    And soon nothing of it is left

  @S45
  Scenario: An idle worker is ended, and the next inference starts cold
    Given workers may idle for 2 seconds
    And a queen that stays
    And a worker that has loaded "builtin:tiny"
    When nobody asks for anything
    Then the worker ends by itself between 2 and 3 seconds after its last answer
    And the hive lists 0 workers
    When a person runs 'infer --prompt "again" --max-tokens 4'
    Then it succeeds and writes text
    And the hive has another worker process than before
