Feature: Hives from afar

  @S57 @sshd
  Scenario: The configured path is what runs on another machine
    Given a machine "workstation" whose hive lies at "opt/bin/rbee-hive" alone
    And the configuration names that path for other machines
    When a person runs 'infer --node workstation --model builtin:tiny --max-tokens 5 --prompt "test"'
    Then it succeeds and writes text
    And every command for a hive on "workstation" named that path and no other
    And stderr holds these lines in order
      | Starting the hive on workstation |
      | Hive on workstation has ended    |
    And nothing of rbee runs on "workstation" any more

  @S59 @sshd
  Scenario: Workers of all machines are listed at once
    Given a machine "workstation" with rbee on it
    And a machine "blep" with rbee on it
    And a queen that keeps the pool ready
    And a worker on "workstation" that has loaded "builtin:tiny"
    And a worker on "local" that has loaded "builtin:tiny"
    When the sshd of "blep" is killed with every login
    And a person runs 'workers list' until it says that "blep" is unreachable
    Then it succeeds
    And stdout names an idle worker on "local" and on "workstation"
    When a person runs 'workers list --json'
    Then the answer's workers are on "local, workstation", and "blep" is unreachable with a reason

  @S60 @sshd
  Scenario: The health of one machine's workers
    Given a machine "workstation" with rbee on it
    And a queen that keeps the pool ready
    And a worker on "workstation" that has loaded "builtin:tiny"
    And a worker on "local" that has loaded "builtin:tiny"
    When a person runs 'workers health --node workstation'
    Then it succeeds
    And stdout is one line that says the worker on "workstation" is ready
    When a person runs 'workers health --node nowhere'
    Then it fails with exit code 1
    And the error names the code "NODE_NOT_FOUND"

  @S62 @sshd
  Scenario Outline: The log of a hive <state> is followed until Ctrl+C
    Given a machine "workstation" with rbee on it
    And a queen that keeps the pool ready
    And the hive on "workstation" is <state>
    When a person starts 'logs --node workstation --follow'
    And the first lines of that log are on stdout
    And a line is added to that log
    Then that line is on stdout as well
    When they press Ctrl+C
    Then it ends with exit code 130 and leaves nothing that follows on "workstation"

    Examples:
      | state     |
      | connected |
      | stopped   |

  @S62 @sshd
  Scenario: The log of a machine whose hive does not run is read without starting one
    Given a machine "workstation" with rbee on it
    And a log of a hive that ran there once
    When a person runs 'logs --node workstation'
    Then it succeeds
    And stdout is that log
    And nothing of rbee runs on "workstation" any more

  @S57 @sshd
  Scenario: A hive is started, restarted and stopped from here
    Given a machine "workstation" with rbee on it
    When a person runs 'hive start --node workstation'
    Then it fails with exit code 1
    And the error names the code "PERSISTENT_QUEEN_NEEDED"
    And stderr holds "rbee up"
    Given a queen that keeps the pool ready
    When a person runs 'hive start --node workstation'
    Then it succeeds
    And the hive on "workstation" is the only one there
    When a person runs 'hive restart --node workstation'
    Then it succeeds
    And another hive is the only one on "workstation"
    When a person runs 'hive status --node workstation'
    Then stdout names its process, its version, and its queen as who started it
    When a person runs 'hive stop --node workstation'
    Then it succeeds
    And nothing of rbee runs on "workstation" any more
    And the queen does not start it again by herself

  @S57 @sshd
  Scenario: A hive that an operator started there ends when a person asks for it
    Given a machine "workstation" with rbee on it
    And a hive that an operator started on "workstation"
    When a person runs 'hive stop --node workstation'
    Then it succeeds
    And nothing of rbee runs on "workstation" any more
    When a person runs 'hive stop --node workstation'
    Then it succeeds

  @S49 @sshd
  Scenario: The end of several hives is told one by one
    Given a machine "workstation" with rbee on it
    And a queen that keeps the pool ready
    When a person runs 'down'
    Then it succeeds
    And stderr holds these lines in order
      | 🛑 Hive on \w+ has ended .1/2. |
      | 🛑 Hive on \w+ has ended .2/2. |
    And nothing of rbee runs on "workstation" any more
