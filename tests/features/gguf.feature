Feature: GGUF files

  @S19
  Scenario: A file that ends in .gguf is loaded as a quantized llama
    Given a copy of the small model named "story.Q8_0.gguf"
    When a worker is started by hand on that file
    And it is ready
    Then its health names the variant "QuantizedLlama" and the architecture "llama"
    And its health names the size of that file

  @S20
  Scenario: What the header says is read and used
    Given a copy of the small model named "story.gguf"
    When a worker is started by hand on that file
    And it is ready
    Then its health says of the model
      | vocab_size    | 2048 |
      | eos_token_id  | 2    |
      | quantization  | Q8_0 |
      | context_length | 2048 |
    And a short question ends by the end-of-text token, not by the limit
    And the same question goes on to the limit when that token is ignored

  @S20 @smollm2
  Scenario: So it is with a real model of others
    Given a queen that stays
    And a worker that has loaded "$SMOLLM2"
    Then its health says of the model
      | vocab_size     | 49152  |
      | eos_token_id   | 2      |
      | quantization   | Q4_1   |
      | context_length | 8192   |
    And "What is the capital of France? Answer with one word." is answered with "Paris" and the end-of-text token

  @S21
  Scenario: Each quantization is loaded, answers, and takes memory as it has bits
    The original's three files have 669 to 1260 MB; these are made here, of the small model and of random weights.
    Given a queen that stays
    And the small model as "Q4_0, Q8_0, F16"
    And a larger model of random weights as "Q4_0, Q8_0, F16"
    When a person asks each of these models for an answer
    Then each answer has text, and each worker names the quantization of its file
    And the memory of the larger model's workers grows from one to the next

  @S22
  Scenario: The size that counts is the size on disk
    Given a machine that is described with 4000 MB of free memory and no GPU
    And a hive that an operator started
    And a model file of 5000 MB
    When the hive is asked to start a worker for that file
    Then its details are required 6000 and available 4000
    And the catalog holds that file with its size of 5000 MB in bytes
