Feature: From a command to tokens on another machine

  @S07 @cluster
  Scenario: A cold start: login, hive, download, worker, tokens
    Given a machine "workstation" with rbee that reaches a hub with a model of 5242880 bytes
    And a queen that stays and knows "workstation"
    And "workstation" has no hive any more, and was last connected a while ago
    And the hub sends 2500000 bytes a second
    When a person runs 'infer --node workstation --model $MTL --prompt "write a short story" --max-tokens 20 --temperature 0.7 --backend cpu --device 0 --ignore-eos --stats'
    Then it succeeds and writes text
    And the queen took that task, and nobody called the hive or the worker past her
    And the login to "workstation" is the registered one, and a hive of the queen's runs there
    And "workstation" is reachable and was connected just now
    And the hive of "workstation" has this build's version and is alive
    # So small a model may be in memory before anybody was told of its layers; S31 follows a large one.
    And stderr holds these lines in order
      | Starting the hive on workstation                             |
      | Downloading: \d+% \(\d\.\d MB / 5\.0 MB\) \d+\.\d MB/s       |
      | Downloading: 100% \(5\.0 MB / 5\.0 MB\)                      |
      | Starting a worker on workstation                             |
      | is in memory after \d+\.\d s                                 |
      | 20 tokens, .*MAX_TOKENS                                      |
    And the hub sent the model to "workstation" once
    And the catalog of "workstation" has the model
    And the worker of "workstation" listens on a port of its range alone, with backend "cpu" and device 0
    And the queen lists it as idle with that model

  @S08 @cluster
  Scenario: A warm start uses the idle worker
    Given a machine "workstation" with rbee that reaches a hub with a model of 5242880 bytes
    And a queen that stays and knows "workstation"
    And an idle worker on "workstation" that holds the model
    When a person runs 'infer --node workstation --model $MTL --prompt "write a poem" --max-tokens 20 --backend cpu --device 0 --ignore-eos --stats'
    Then it succeeds and writes text
    And stderr holds "20 tokens"
    And stderr does not hold "Downloading"
    And stderr does not hold "Starting"
    And it took less than 5 seconds
    And the same worker answered, and no other was started
    And the hub was asked for nothing more

  @S58 @cluster
  Scenario: Basic inference with nothing running
    Given a machine "workstation" with rbee that reaches a hub with a model of 5242880 bytes
    And a person who has registered "workstation"
    When a person runs 'infer --node workstation --model $MTL --prompt "write a short story" --max-tokens 20 --temperature 0.7 --backend cpu --device 0'
    Then it succeeds and writes text
    And stdout has tokens and nothing else
    And the catalog of "workstation" has the model
    And nothing of it is left on "workstation" but its files
    And nothing of it is left but its files
