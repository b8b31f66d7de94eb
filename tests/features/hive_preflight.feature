Feature: Before another machine is used
  Its hive has to answer, and to be of our version. A hive of another one is not used, and left as it was found.

  @S12 @sshd
  Scenario: The hive there is alive, and of our version
    Given a registered machine "workstation" with this build
    When a person runs 'up'
    Then it succeeds
    When a person runs 'infer --node workstation --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text
    When the hive on "workstation" is asked there for its health
    Then the status is 200
    And it says that it is "alive", of version "0.1.0", and speaks "v1"

  @S13 @sshd
  Scenario: A hive of a newer version was started only to be found so, and is ended
    Given a registered machine "workstation" with a build of version "0.2.0"
    When a person runs 'infer --node workstation --prompt "hello" --max-tokens 4'
    Then it fails with exit code 1
    And the error names the code "VERSION_MISMATCH"
    And a hive of version "0.2.0" has run on "workstation", and nothing of rbee does now

  @S13 @sshd
  Scenario: A hive of an older version is told by whoever is newer
    Given a registered machine "workstation" with this build
    When a person with a build of version "0.2.0" runs 'infer --node workstation --prompt "hello" --max-tokens 4'
    Then it fails with exit code 1
    And the whole error is
      """
      Version mismatch (VERSION_MISMATCH)
          rbee-keeper: v0.2.0
          rbee-hive: v0.1.0

      Please bring workstation to v0.2.0:
          rbee setup install --node workstation
      """
    And a hive of version "0.1.0" has run on "workstation", and nothing of rbee does now

  @S13 @sshd
  Scenario: An operator's hive of another version runs on, until a person has done what the error says
    Given a registered machine "workstation" with this build
    And the operator of "workstation" has started its hive
    When a person with a build of version "0.2.0" runs 'infer --node workstation --prompt "hello" --max-tokens 4'
    Then it fails with exit code 1
    And the whole error is
      """
      Version mismatch (VERSION_MISMATCH)
          rbee-keeper: v0.2.0
          rbee-hive: v0.1.0

      Please bring workstation to v0.2.0:
          rbee setup install --node workstation
      and end the one that runs there:
          rbee hive stop --node workstation
      """
    And the operator's hive on "workstation" is the one that runs there
    When a person with a build of version "0.2.0" runs 'setup install --node workstation'
    Then it succeeds
    And the operator's hive on "workstation" is the one that runs there
    When a person with a build of version "0.2.0" runs 'hive stop --node workstation'
    Then it succeeds
    When a person with a build of version "0.2.0" runs 'infer --node workstation --prompt "hello" --max-tokens 4'
    Then it succeeds and writes text

  @S14 @sshd
  Scenario: A machine that takes connections and never answers is tried three times
    Given a registered machine "workstation" with this build
    And an attempt at a connection may take 1 second
    And "workstation" answers nobody any more
    When a person runs 'infer --node workstation --prompt "hello"'
    Then it fails with exit code 1
    And these are the attempts that stderr tells of
      """
      Attempt 1: connecting to workstation:22 (timeout 1s)
      Attempt 2: connecting to workstation:22 (timeout 1s, delay 200ms)
      Attempt 3: connecting to workstation:22 (timeout 1s, delay 400ms)
      """
    And the error names the code "CONNECTION_TIMEOUT"

  @S14 @sshd
  Scenario: What another attempt would not change is tried once: the host key has changed
    Given a registered machine "workstation" with this build
    And "workstation" has another host key than before
    When a person runs 'infer --node workstation --prompt "hello"'
    Then it fails with exit code 1
    And the error names the code "SSH_HOST_KEY_CHANGED"
    And stderr holds "ssh-keygen -R workstation"
    And these are the attempts that stderr tells of
      """
      Attempt 1: connecting to workstation:22 (timeout 10s)
      """

  @S14 @sshd
  Scenario: A machine that forbids forwarding keeps no hive
    Given a registered machine "workstation" that forbids forwarding
    When a person runs 'infer --node workstation --prompt "hello"'
    Then it fails with exit code 1
    And the error names the code "SSH_FORWARDING_FORBIDDEN"
    And stderr holds "AllowTcpForwarding yes in sshd_config of workstation"
    And a hive of version "0.1.0" has run on "workstation", and nothing of rbee does now
