Feature: Models from a hub

  @S15
  Scenario: A model that the catalog has is not downloaded
    Given a hub with a model of 5242880 bytes
    And a queen that stays
    And a person has pulled the model
    And the hub is gone
    When a person runs 'infer --model $MTL --prompt "write a poem" --max-tokens 5'
    Then it succeeds and writes text
    And the worker has the file that the catalog names
    And no byte of the model was asked for again

  @S16
  Scenario: A download is followed event by event
    Given a hub with a model of 5242880 bytes
    And the hub sends 2500000 bytes a second
    And a hive that an operator started
    And the catalog does not have the model
    When the hive is told to download it, and followed
    Then the events are downloading with growing bytes and a speed, then complete with the file's path, then the end mark
    And the catalog has the model at that path

  @S16
  Scenario: A model that is not there comes with the inference that wants it
    Given a hub with a model of 5242880 bytes
    And the hub sends 2500000 bytes a second
    And a queen that stays
    And the catalog does not have the model
    When a person runs on a terminal 'infer --model $MTL --prompt "write a poem" --max-tokens 5'
    Then it succeeds
    And the terminal showed a bar of 20 cells with percentage and speed
    And the catalog has the model
    And the worker has the file that the catalog names

  @S17
  Scenario: A download that breaks goes on where it was
    Given a hub with a model of 5242880 bytes
    And the hub's connection is reset at byte 2097152, 1 times
    And a queen that stays
    When a person runs 'models pull $MTL'
    Then it succeeds
    And stderr holds these lines in order
      | Error: .*[Cc]onnection reset by peer |
      | attempt 2/6, delay 100ms             |
    And the hub was asked again 100 ms later, from byte 2097152 on
    And the catalog has the model

  @S17
  Scenario: A download that breaks is told to whoever waits for the answer
    Given a hub with a model of 5242880 bytes
    And the hub's connection is reset at byte 2097152, 2 times
    # The first request is for the header alone, and does not come that far.
    When a person runs 'infer --model $MTL --prompt "write a poem" --max-tokens 5'
    Then it succeeds and writes text
    And stderr holds these lines in order
      | Error: .*[Cc]onnection reset by peer |
      | attempt 2/6, delay 100ms             |
    And nothing of it is left but its files

  @S17
  Scenario: A download that breaks each time fails after six attempts
    Given a hub with a model of 5242880 bytes
    And the hub's connection is reset at byte 2097152, each time
    And a queen that stays
    When a person runs 'models pull $MTL'
    Then it fails with exit code 1
    And stderr holds these lines in order
      | attempt 2/6, delay 100ms |
      | attempt 3/6, delay 200ms |
      | attempt 6/6              |
    And the error names the code "DOWNLOAD_FAILED"
    And the hub was asked 6 times for the model, never again for what had come
    And the catalog does not have the model

  @S18
  Scenario: A model that has arrived is in the catalog
    Given a hub with a model of 5242880 bytes
    And a queen that stays
    When a person runs 'models pull $MTL'
    Then it succeeds
    And the table "models" of the catalog has one row
      | id                 | tinyllama-q4                         |
      | provider           | hf                                   |
      | reference          | TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF |
      | size_bytes         | 5242880                              |
    And its local_path is the file, and its downloaded_at_unix is now
    When a person runs 'models show $MTL'
    Then it succeeds
    And stdout holds "tinyllama-q4"

  @S37
  Scenario: A broken download as a person sees it
    Given a hub with a model of 5242880 bytes
    And the hub sends 2500000 bytes a second
    And the hub's connection is reset at byte 2097152, 1 times
    And a queen that stays
    When a person runs on a terminal 'models pull $MTL'
    Then it succeeds
    And the terminal showed in this order
      | \[████████------------\] 40% \(2\.0 MB / 5\.0 MB\)  |
      | Error: .*[Cc]onnection reset by peer                |
      | \(attempt 2/6, delay 100ms\)                        |
      | \[█{8,}-*\] (4[0-9]\|[5-9][0-9])% \([2-5]\.\d MB / 5\.0 MB\) |
      | \[████████████████████\] 100% \(5\.0 MB / 5\.0 MB\) |
    And no bar of it went back below 40 percent after that

  @S37
  Scenario: A download that cannot be had ends with an error
    Given a hub with a model of 5242880 bytes
    And the hub's connection is reset at byte 2097152, each time
    And a queen that stays
    When a person runs on a terminal 'models pull $MTL'
    Then it fails with exit code 1
    And the terminal showed in this order
      | 40% \(2\.0 MB / 5\.0 MB\) |
      | Error: .*DOWNLOAD_FAILED  |
