Feature: The end of a hive on another machine that takes a while

  @S57 @sshd
  Scenario Outline: '<command>' tells that it waits for what runs there, and that the hive has ended
    Given a machine "workstation" with rbee on it
    And a queen that keeps the pool ready
    And a worker on "workstation" that has loaded "builtin:tiny"
    And the worker on "workstation" takes no requests any more
    When a person runs '<command>'
    Then it succeeds
    And stderr holds these lines in order
      | ⏳ Waiting for running tasks and workers on workstation to end .\d+ s. |
      | 🛑 Hive on workstation has ended<then>                                 |
      | ✅ .*<said>                                                            |
    And nothing of rbee runs on "workstation" any more

    Examples:
      | command                                               | then                              | said                     |
      | setup uninstall --node workstation                    |                                   | removed from workstation |
      | setup remove-node --name workstation                  |                                   | removed                  |
      | setup update-node --name workstation --hive-port 9299 | ; the next command starts it anew | updated                  |

  @S57 @sshd
  Scenario: A stop of a hive that takes a while is told too
    Given a machine "workstation" with rbee on it
    And a queen that keeps the pool ready
    And a worker on "workstation" that has loaded "builtin:tiny"
    And the worker on "workstation" takes no requests any more
    When a person runs 'hive stop --node workstation'
    Then it succeeds
    And stderr holds these lines in order
      | ⏳ Waiting for running tasks and workers on workstation to end .\d+ s. |
    And nothing of rbee runs on "workstation" any more
