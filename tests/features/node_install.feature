Feature: rbee on machines that have nothing but sshd
  What it needs is sent there, or built there; whoever asks for it types one line here.

  @S03 @cluster @npm @build
  Scenario: A machine builds rbee from a repository
    Given a machine "workstation" with what a build of rbee needs
    And a repository of this checkout, which "workstation" reaches by SSH
    And a person who has registered "workstation" with that repository
    When a person runs 'setup install --node workstation', and waits for a build
    Then it succeeds
    And stderr holds these lines in order
      | .queen-rbee. 📦 Cloning ssh://\S+ on workstation                          |
      | \n.queen-rbee. 📦 Checking out main on workstation                        |
      | \n.queen-rbee. 🔨 Building rbee-hive and llm-worker-rbee on workstation   |
      | \n.queen-rbee. ✅ Installation complete on workstation: v\d               |
    And "workstation" has the checkout in "rbee" and its build in use
    When a person runs 'infer --node workstation --prompt hello --max-tokens 5'
    Then it succeeds and writes text

  @S03 @S57 @cluster @npm
  Scenario: Git works in the folder that the configuration names
    Given a machine "workstation" with what a build of rbee needs
    And a repository of small programs, which "workstation" reaches by SSH
    And the configuration's git_repo_dir is "~/src/rbee"
    And a person who has registered "workstation" with that repository
    When a person runs 'setup install --node workstation'
    Then it succeeds
    And "workstation" has the checkout in "src/rbee" and its build in use
    And nothing of git lies in "rbee" on "workstation"

  @S03 @cluster
  Scenario Outline: A machine that cannot build says that <tool> is missing
    Given a machine "workstation" without "<without>"
    And a repository of small programs, which "workstation" reaches by SSH
    And a person who has registered "workstation" with that repository
    When a person runs 'setup install --node workstation'
    Then it fails with exit code 1
    And the error names the code "TOOLCHAIN_MISSING"
    And stderr holds "<tool> is missing"
    And stderr holds "rbee setup install --node workstation --ship"
    And nothing of rbee lies on "workstation"

    Examples:
      | without           | tool        |
      | git               | git         |
      | deno npx npm node | Deno 2.7.11 |

  @S03 @cluster
  Scenario: A machine for which no executables were made says how it gets them
    Given a machine "workstation" that is an ARM
    And a person who has registered "workstation"
    When a person runs 'setup install --node workstation'
    Then it fails with exit code 1
    And the error names the code "PLATFORM_NOT_AVAILABLE"
    And stderr holds "rbee setup install --node workstation --from-source"
    And nothing of rbee lies on "workstation"

  @S03 @cluster
  Scenario: What a machine needs is sent to it, once
    Given machines "workstation" and "blep" with nothing on them but sshd
    And a queen that stays and knows "workstation"
    And a person who has registered "blep"
    When a person runs 'setup install --node workstation'
    Then it succeeds
    And stderr holds these lines in order
      | .queen-rbee. 📦 Sending v\S+ for \S+ to workstation       |
      | \n.queen-rbee. ✅ Installation complete on workstation    |
    When a person runs 'infer --node workstation --prompt hello --max-tokens 5'
    Then it succeeds and writes text
    When a person runs 'setup install --all'
    Then it succeeds
    And stderr holds these lines in order
      | Sending v\S+ for \S+ to blep                     |
      | workstation has the executables of v\S+ already  |
    And stdout names these installations
      | blep        | 2 files sent |
      | workstation |              |
    When a person runs 'infer --node blep --prompt hello --max-tokens 5'
    Then it succeeds and writes text
    When a person runs 'setup install --all'
    Then it succeeds
    And stdout names these installations
      | blep        | |
      | workstation | |
    When a person runs 'setup uninstall --node workstation'
    Then it succeeds
    And stderr holds "rbee is removed from workstation"
    And of rbee nothing runs on "workstation", and what it said stays is all that is left there
    When a person runs 'infer --node blep --prompt hello --max-tokens 5'
    Then it succeeds and writes text
