Feature: When something goes wrong on the way to another machine

  @S36 @sshd
  Scenario: A machine whose sshd has ended
    Given a registered machine "workstation" with this build
    And the sshd of "workstation" has ended
    When a person runs 'infer --node workstation --prompt "hello"'
    Then it fails with exit code 1
    And these are the attempts that stderr tells of
      """
      Attempt 1: connecting to workstation:22 (timeout 10s)
      Attempt 2: connecting to workstation:22 (timeout 10s, delay 200ms)
      Attempt 3: connecting to workstation:22 (timeout 10s, delay 400ms)
      """
    And the whole error is
      """
      Cannot connect to workstation:22 after 3 attempts: connection refused (CONNECTION_TIMEOUT)

      Suggestion: Check that the machine is on and rbee-hive is running on workstation: rbee setup test-node --name workstation
      """

  @S36 @cluster
  Scenario: A machine whose cable is pulled
    Given a registered machine "workstation" at the end of a cable
    And an attempt at a connection may take 1 second
    And the cable of "workstation" is pulled
    When a person runs 'infer --node workstation --prompt "hello"'
    Then it fails with exit code 1
    And these are the attempts that stderr tells of
      """
      Attempt 1: connecting to workstation:22 (timeout 1s)
      Attempt 2: connecting to workstation:22 (timeout 1s, delay 200ms)
      Attempt 3: connecting to workstation:22 (timeout 1s, delay 400ms)
      """
    And the whole error is
      """
      Cannot connect to workstation:22 after 3 attempts: connection timeout (CONNECTION_TIMEOUT)

      Suggestion: Check that the machine is on and rbee-hive is running on workstation: rbee setup test-node --name workstation
      """

  @S43 @sshd
  Scenario: The hive there is newer than the programs here
    Given a registered machine "workstation" with a build of version "0.2.0"
    When a person runs 'infer --node workstation --prompt "hello"'
    Then it fails with exit code 1
    And the whole error is
      """
      Version mismatch (VERSION_MISMATCH)
          rbee-keeper: v0.1.0
          rbee-hive: v0.2.0

      Please upgrade rbee-keeper on this machine to v0.2.0, in its checkout:
          git checkout v0.2.0 && npx -y deno@2.7.11 task compile
      """

  @S43
  Scenario: A hive on the network is newer than the programs here
    Given a hive on the network that is registered as "fast"
    And its operator has upgraded it to version "0.2.0"
    When a person runs 'infer --node fast --prompt "hello"'
    Then it fails with exit code 1
    And the whole error is
      """
      Version mismatch (VERSION_MISMATCH)
          rbee-keeper: v0.1.0
          rbee-hive: v0.2.0

      Please upgrade rbee-keeper on this machine to v0.2.0, in its checkout:
          git checkout v0.2.0 && npx -y deno@2.7.11 task compile
      """

  @S44
  Scenario: The queen does not take the person's key
    Given a queen whose configured key is "right_key"
    When she is asked for an answer with the key "wrong_key"
    Then the status is 401
    And the error has the code "INVALID_API_KEY" of the defined list
    And its message says that the key is invalid or missing
    When a person whose key is "wrong_key" runs 'infer --prompt "hello"'
    Then it fails with exit code 1
    And stderr holds these lines in order
      | ❌ Error: Authentication failed .INVALID_API_KEY. |
      | \n    Host: 127\.0\.0\.1:\d+\n                    |
      | \n\nCheck the token in your configuration:        |
      | \n    /\S+/config\.toml\n                         |
    When a person whose key is "right_key" runs 'infer --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text

  @S44
  Scenario: A hive on the network does not take the queen's key any more
    Given a hive on the network that is registered as "fast"
    And the file of its key holds "wrong_key" now
    When it is asked for its workers with the key "wrong_key"
    Then the status is 401
    And the error has the code "INVALID_API_KEY" of the defined list
    When a person runs 'infer --node fast --prompt "hello"'
    Then it fails with exit code 1
    And stderr holds these lines in order
      | ❌ Error: Authentication failed .INVALID_API_KEY. |
      | \n    Host: \d+\.\d+\.\d+\.\d+:\d+\n              |
      | \n\n.*fast\.token                                 |
      | \n    /\S+/config\.toml                           |
    And stderr does not hold "wrong_key"

  @S38 @sshd
  Scenario: The GPU of another machine is too small
    Given a registered machine "workstation" with this build
    And "workstation" is described with 2000 MB of free memory and a "cuda" device with 4000 MB
    And a model file of 5000 MB
    When a person runs 'infer --node workstation --model $HUGE --prompt "hello" --backend cuda --device 0'
    Then it fails with exit code 1
    And the whole error is
      """
      Insufficient VRAM on workstation (VRAM_EXHAUSTED)
          Required: 6000 MB
          Available: 4000 MB

      Suggestion: Try a smaller quantized model, Q4 instead of Q8
      """
