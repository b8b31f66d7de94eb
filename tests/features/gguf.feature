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
