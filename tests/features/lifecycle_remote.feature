Feature: Who lives how long, with the hive on another machine

  @S46 @cluster
  Scenario: A hive on another machine stays when its worker has called back
    Given a machine "box" with rbee, where health is checked every 0.3 seconds and workers may idle for 4 seconds
    And a hive on "box" that its operator started
    And a queen that stays and knows "box"
    When a person runs 'infer --node box --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text
    And the hive on "box" runs on and answers
    And it asks the worker on "box" for its health again and again
    And the queen lists 1 worker on "box"
    And the hive on "box" ends it when it has idled, and runs on

  @S47 @cluster
  Scenario: A worker on another machine that stops answering is noticed, and removed at the third strike
    Given a machine "box" with rbee, where health is checked every 0.3 seconds and workers may idle for 60 seconds
    And a hive on "box" that its operator started
    And a queen that stays and knows "box"
    And a worker on "box" that has answered
    When the worker on "box" is frozen
    Then the queen lists it as "unhealthy"
    When the worker on "box" is thawed
    Then the queen lists it as "idle"
    When the worker on "box" is frozen
    Then it is gone from the queen's list, and its process on "box" too
    And the hive on "box" runs on and answers

  @S48 @cluster
  Scenario: The idle time-out ends the worker on another machine and not the hive
    Given a machine "box" with rbee, where health is checked every 30 seconds and workers may idle for 2 seconds
    And a hive on "box" that its operator started
    And a queen that stays and knows "box"
    And a worker on "box" that has answered
    When nobody asks for anything
    Then the worker on "box" ends by itself 2 seconds or more after its last answer
    And the queen lists 0 workers on "box"
    And the hive on "box" runs on and answers

  @S49 @cluster
  Scenario: A hive on another machine that is told to end takes its workers along
    Given a machine "box" with rbee
    And a hive on "box" that its operator started
    And a queen that stays and knows "box"
    And 3 workers on "box" for three models
    When the hive on "box" gets SIGTERM
    Then it ends with exit code 0 within 5 seconds
    And nothing of it is left on "box" but its files
    And the queen lists 0 workers on "box"
    And the model catalog is still on the disk of "box"

  @S49 @cluster
  Scenario: A queen who is told to end takes her hives on other machines along, and these their workers
    Given a machine "box" with rbee
    And a queen that stays and knows "box"
    And 3 workers on "box" for three models
    When a person runs 'down'
    Then it succeeds
    And nothing of it is left on "box" but its files
    And nothing of it is left but its files

  @S50 @cluster
  Scenario: The keeper ends, the daemons here and on another machine live on
    Given a machine "box" with rbee
    And a queen that stays and knows "box"
    And a worker on "box" that has answered
    When a person runs 'infer --node box --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text
    And the same queen, and the same hive and worker on "box" run on
    And the queen lists 1 worker on "box"

  @S51 @cluster
  Scenario: Where nothing runs, the keeper starts all, also on another machine, and leaves nothing
    Given a machine "box" with rbee
    And a person who has registered "box"
    And nothing runs
    When a person starts 'infer --node box --model $BOX_SLOW --prompt "hello" --max-tokens 20 --ignore-eos' and sees tokens
    Then the hive on "box" is leased to the queen, and the worker there is its child
    And it succeeds and writes text
    And nothing of it is left but its files
    And nothing of it is left on "box" but its files

  @S51 @cluster
  Scenario: While a machine answers, its network sees no open port but that of its sshd
    Given a machine "box" with rbee
    And a person who has registered "box"
    When a person starts 'infer --node box --model $BOX_SLOW --prompt "a long story" --max-tokens 3000 --ignore-eos' and sees tokens
    Then a scan of every port of "box" from outside finds that of its sshd alone
    And the answer still comes
    When they press Ctrl+C
    Then it ends with exit code 130 and the line "Canceled."
    And nothing of it is left on "box" but its files

  @S52 @cluster
  Scenario: What operators started here and on another machine is used and left alone
    Given a machine "box" with rbee
    And a hive on "box" that its operator started
    And a queen that an operator started
    And a person who has registered "box"
    When a person runs 'infer --node box --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text
    And the operators' hive on "box" and queen run on, and no other there
    And the queen lists 1 worker on "box"
    When the operator ends the queen
    Then the hive on "box" runs on and answers
