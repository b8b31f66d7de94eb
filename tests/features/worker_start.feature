Feature: How a worker comes to be

  @S27
  Scenario: The order of a start
    Given a hive that an operator started
    When the hive is asked to start a worker for "$LARGE" on "cpu" device 0
    Then the answer names the worker in state "loading"
    And the worker's command line holds "--model", "--backend cpu", "--device 0" and its port
    And its port is one of those that were configured, and it listens there
    And its key is in no command line of this world
    And it loads after that, and is ready

  @S28
  Scenario: A worker calls back as soon as it listens
    Given somebody who listens as a hive would
    When a worker is started by hand that calls back there
    Then the call back is a POST with the worker's key
    And it carries worker_id, url, model_ref "builtin:tiny", backend "cpu" and device 0 as a number
    And the worker was listening at that url by then
    When a hive that an operator started is asked to start a worker for "builtin:tiny"
    Then that hive has registered it, url and all

  @S29
  Scenario: The hive's registry holds what the call back said, in memory alone
    Given a hive that an operator started
    When the hive is asked to start a worker for "$LARGE" on "cpu" device 0
    Then the hive lists it with
      | state           | loading |
      | backend         | cpu     |
      | device          | 0       |
      | slots_total     | 1       |
      | slots_available | 0       |
    And the list names its id, its url and its model
    When the operator ends the hive and starts it again
    Then the hive lists 0 workers
