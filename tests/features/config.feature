Feature: Which configuration file counts

  @S56 @mounts
  Scenario: The file of the environment, then the user's, then the system's
    Given a configuration file at "/tmp/custom.toml" whose default is 11 tokens
    And a configuration file of the user whose default is 22 tokens
    And a configuration file at "/etc/rbee/config.toml" whose default is 33 tokens
    When RBEE_CONFIG names "/tmp/custom.toml"
    Then "/tmp/custom.toml" is loaded, and the default is 11 tokens
    When RBEE_CONFIG names nothing
    Then the user's file is loaded, and the default is 22 tokens
    When the user's file is removed
    Then "/etc/rbee/config.toml" is loaded, and the default is 33 tokens
