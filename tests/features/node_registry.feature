Feature: The registry of machines that are reached by SSH
  A machine is saved when a login there works, and not before.

  @S01 @sshd
  Scenario: A machine is reached, then saved
    Given a machine "workstation.home.arpa" that this person can log in to
    When a person runs 'setup add-node --name workstation --ssh-host workstation.home.arpa --ssh-user $ME --ssh-key ~/.ssh/id_ed25519 --git-repo https://github.com/user/rbee.git --git-branch main --install-path ~/rbee'
    Then it succeeds
    And stderr holds these lines in order
      | .queen-rbee. 🔌 .*SSH.*workstation.home.arpa |
      | \n.queen-rbee. ✅ .*'workstation' saved       |
    And ssh logged in to "workstation.home.arpa" once, with that key, and ran the connection test
    And the registry holds "workstation" at "workstation.home.arpa", reached just now

  @S01 @sshd
  Scenario: A name is taken once
    Given a machine "workstation.home.arpa" that this person can log in to
    And "workstation.home.arpa" is registered as "workstation"
    When a person runs 'setup add-node --name workstation --ssh-host other.home.arpa --ssh-user $ME'
    Then it fails with exit code 1
    And the error names the code "NODE_ALREADY_EXISTS"

  @S02 @sshd
  Scenario: A machine that does not answer is not saved
    Given a machine "unreachable.home.arpa" that takes connections and never answers
    When a person runs 'setup add-node --name unreachable --ssh-host unreachable.home.arpa --ssh-user $ME --ssh-key ~/.ssh/id_ed25519 --git-repo https://github.com/user/rbee.git --install-path ~/rbee'
    Then it fails with exit code 1
    And stderr holds these lines in order
      | .queen-rbee. 🔌 .*unreachable.home.arpa              |
      | \n.queen-rbee. ❌ SSH .*failed: connection timeout    |
      | SSH_CONNECTION_FAILED                                 |
    And the registry holds no machine

  @S02 @sshd
  Scenario Outline: <state> is refused, told, and not saved
    Given a machine "workstation.home.arpa" <state>
    When a person runs 'setup add-node --name workstation --ssh-host workstation.home.arpa --ssh-user $ME --ssh-key ~/.ssh/id_ed25519'
    Then it fails with exit code 1
    And the error names the code "<code>"
    And stderr holds "<hint>"
    And the registry holds no machine

    Examples:
      | state                                  | code                 | hint             |
      | whose host key is unknown              | SSH_HOST_KEY_UNKNOWN | accept it, once: |
      | whose host key was another one before  | SSH_HOST_KEY_CHANGED | CHANGED          |
      | that does not know this person's key   | SSH_AUTH_FAILED      | ssh-copy-id      |

  @S04 @sshd
  Scenario: Registered machines are listed by name
    Given a machine "workstation.home.arpa" that this person can log in to
    And a machine "blep.home.arpa" that this person can log in to
    And "workstation.home.arpa" is registered as "workstation"
    And "blep.home.arpa" is registered as "blep"
    When a person runs 'setup list-nodes'
    Then it succeeds
    And stdout is the list of "blep" and "workstation"

  @S05 @sshd
  Scenario: A machine is forgotten
    Given a machine "workstation.home.arpa" that this person can log in to
    And "workstation.home.arpa" is registered as "workstation"
    When a person runs 'setup remove-node --name workstation'
    Then it succeeds
    And stderr holds "[queen-rbee] ✅ Node 'workstation' removed"
    And the registry holds no machine
    When a person runs 'setup remove-node --name workstation'
    Then it fails with exit code 1
    And the error names the code "NODE_NOT_FOUND"

  @S06 @sshd
  Scenario: An inference on a machine that is not registered says how to add it
    Given a person with an SSH key
    When a person runs 'infer --node workstation --model builtin:tiny --prompt "test"'
    Then it fails with exit code 1
    And stderr holds these lines in order
      | ❌ Error: .*'workstation'.* rbee-hive registry .NODE_NOT_FOUND.                                      |
      | \n\n                                                                                                  |
      | \n    rbee-keeper setup add-node --name workstation --ssh-host workstation.home.arpa                  |
    And ssh was not called

  @S06 @sshd
  Scenario: An inference on a registered machine without rbee says how to install it
    Given a machine "workstation.home.arpa" that this person can log in to
    And "workstation.home.arpa" is registered as "workstation"
    When a person runs 'infer --node workstation --prompt "test"'
    Then it fails with exit code 1
    And the error names the code "NODE_NOT_INSTALLED"
    And stderr holds "rbee setup install --node workstation"
