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
      | state                                           | code                     | hint                                 |
      | whose host key is unknown                       | SSH_HOST_KEY_UNKNOWN     | accept it, once:                     |
      | whose host key was another one before           | SSH_HOST_KEY_CHANGED     | CHANGED                              |
      | that does not know this person's key            | SSH_AUTH_FAILED          | ssh-copy-id                          |
      | whose name nobody knows                         | SSH_CONNECTION_FAILED    | Check the name workstation.home.arpa |
      | on which no sshd listens                        | SSH_CONNECTION_FAILED    | Start sshd there                     |
      | for which the key's file is missing             | SSH_KEY_NOT_FOUND        | Check --ssh-key                      |
      | for which the key's file is open to others      | SSH_AUTH_FAILED          | chmod 600                            |
      | for which the key's file is no private key      | SSH_AUTH_FAILED          | Give the private key                 |
      | for which the key has a passphrase and no agent | SSH_AUTH_FAILED          | ssh-add                              |
      | that gives its users no shell                   | SSH_SHELL_UNUSABLE       | a login shell such as /bin/sh        |
      | whose shell is missing                          | SSH_SHELL_UNUSABLE       | a login shell such as /bin/sh        |
      | that answers by cmd.exe                         | SSH_SHELL_UNUSABLE       | WSL2                                 |
      | that answers by PowerShell                      | SSH_SHELL_UNUSABLE       | WSL2                                 |
      | behind a jump host that forbids it              | SSH_FORWARDING_FORBIDDEN | AllowTcpForwarding yes               |
      | and no program ssh here                         | SSH_NOT_INSTALLED        | apt-get install openssh-client       |

  @S01 @sshd
  Scenario: A jump host of the person's configuration is gone through
    Given a machine "workstation.home.arpa" behind a jump host
    When a person runs 'setup add-node --name workstation --ssh-host workstation.home.arpa --ssh-user $ME --ssh-key ~/.ssh/id_ed25519'
    Then it succeeds
    And "workstation.home.arpa" let this person in once
    And "jump.home.arpa" let this person in once

  @S01 @sshd
  Scenario: A port of the person's configuration is used when none is given
    Given a machine "workstation.home.arpa" that this person can log in to
    When a person runs 'setup add-node --name workstation --ssh-host workstation.home.arpa --ssh-user $ME --ssh-key ~/.ssh/id_ed25519'
    Then it succeeds
    And "workstation.home.arpa" let this person in once
    When a person runs 'setup update-node --name workstation --ssh-port 1'
    Then it fails with exit code 1
    And the error names the code "SSH_CONNECTION_FAILED"
    And stderr holds "give its port: --ssh-port (now 1)"

  @S01 @sshd
  Scenario Outline: A key is used that only the agent can use: its file is <state>
    Given a machine "workstation.home.arpa" that this person can log in to
    And an agent holds this person's key, and its file is <state>
    When a person runs 'setup add-node --name workstation --ssh-host workstation.home.arpa --ssh-user $ME <flag>'
    Then it succeeds
    And "workstation.home.arpa" let this person in once

    Examples:
      | state  | flag                        |
      | gone   |                             |
      | locked | --ssh-key ~/.ssh/id_ed25519 |

  @S04 @sshd
  Scenario: Registered machines are listed by name
    Given a machine "workstation.home.arpa" that this person can log in to
    And a machine "blep.home.arpa" that this person can log in to
    And "workstation.home.arpa" is registered as "workstation"
    And "blep.home.arpa" is registered as "blep"
    When a person runs 'setup list-nodes'
    Then it succeeds
    And stdout is the list of "blep" and "workstation"

  @S04 @sshd
  Scenario Outline: From an RBEE_HOME whose path is too long for the sockets of SSH, '<command>' says so
    Given a machine "workstation.home.arpa" that this person can log in to
    And "workstation.home.arpa" is registered as "workstation"
    And RBEE_HOME is a copy of it at a path of 80 bytes
    When a person runs '<command>'
    Then it fails with exit code 1
    And the error names the code "RBEE_HOME_TOO_LONG"
    And stderr holds "Set RBEE_HOME to a path of at most 53 bytes"
    And "workstation.home.arpa" let this person in once

    Examples:
      | command                                                                      |
      | infer --node workstation --prompt "test"                                     |
      | setup install --node workstation --ship                                      |
      | setup test-node --name workstation                                           |
      | setup update-node --name workstation --install-path ~/elsewhere              |
      | setup add-node --name second --ssh-host workstation.home.arpa --ssh-user $ME |
      | logs --node workstation                                                      |

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
