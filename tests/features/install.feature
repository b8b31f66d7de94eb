Feature: Installation on this machine

  @S54
  Scenario: A person installs rbee for themselves
    Given a person who has never used rbee
    When they run "install"
    Then it succeeds
    And "~/.local/bin" holds the four programs of this build, their manifest and the link rbee
    And there are these folders
      | ~/.config/rbee              |
      | ~/.local/share/rbee/models  |
    And "~/.config/rbee/config.toml" holds every key as a comment
    And the completions of bash, zsh and fish are in their places
    And stdout says in this order
      | is installed in \S+/\.local/bin         |
      | config\.toml                            |
      | is not in your PATH                     |
      | export PATH=                            |
      | Next:                                   |
      | rbee infer --prompt                     |
    And the installed "infer --prompt hello --max-tokens 5" answers with text

  @S54
  Scenario: Installing again changes nothing, and what a person wrote stays
    Given a person who has never used rbee
    And their "~/.config/rbee/config.toml" holds "[infer]\nmax_tokens = 7 # mine"
    When they run "install"
    And they run "install"
    Then it succeeds
    And stdout says in this order
      | is up to date          |
      | rbee-keeper: up to date |
      | left as it is          |
    And their "~/.config/rbee/config.toml" still holds "[infer]\nmax_tokens = 7 # mine"

  @S54
  Scenario: Uninstalling removes what was installed and keeps what belongs to the person
    Given a person who has never used rbee
    And their "~/.local/bin/mytool" holds "#!/bin/sh"
    And their "~/.local/share/rbee/models/mine.gguf" holds "a model"
    When they run "install --service"
    And they run "uninstall"
    Then it succeeds
    And these files and no others are left of it all
      | ~/.config/rbee/config.toml           |
      | ~/.local/bin/mytool                  |
      | ~/.local/share/rbee/models/mine.gguf |
    When they run "uninstall --purge"
    Then it succeeds
    And these files and no others are left of it all
      | ~/.local/bin/mytool |

  @S55 @mounts
  Scenario: Root installs rbee for everybody
    When root of a machine runs "install --system"
    Then it succeeds
    And the machine's "/usr/local/bin" holds the four programs of this build, their manifest and the link rbee
    And the machine's "/etc/rbee/config.toml" puts the models of all into "/var/lib/rbee/models"
    And on that machine everybody may read "/var/lib/rbee/models"
    When root of a machine runs "uninstall --system --purge"
    Then it succeeds
    And the machine is as it was before

  @S55 @mounts
  Scenario: Whoever is not root gets the line that does it
    When somebody who is not root runs "install --system"
    Then it fails with exit code 1
    And the error names the code "ROOT_NEEDED"
    And stderr holds "Suggestion: sudo /"
    And the machine is as it was before
