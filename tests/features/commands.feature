Feature: Commands

  @S61
  Scenario: A worker is ended by hand
    Given a queen that stays
    And a worker that has loaded "builtin:tiny"
    When a person runs 'workers shutdown --id $WORKER'
    Then it succeeds
    And that worker's process ends with its model unloaded, and nobody else does
    And the hive lists 0 workers
