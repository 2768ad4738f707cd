// The configuration of a BERT model, by the names of Hugging Face's config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/backend/backend.hpp"
#include "core/base/json.hpp"

namespace weft {

struct BertConfig {
  std::int64_t vocab_size = 30522;
  std::int64_t hidden_size = 768;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  std::int64_t intermediate_size = 3072;
  std::string hidden_act = "gelu";
  float hidden_dropout_prob = 0.1F;
  float attention_probs_dropout_prob = 0.1F;
  std::int64_t max_position_embeddings = 512;
  std::int64_t type_vocab_size = 2;
  float initializer_range = 0.02F;
  float layer_norm_eps = 1e-12F;
  std::int64_t pad_token_id = 0;

  // Which heads stand on the encoder; architectures[0] of config.json says it.
  bool pooler = true;
  bool mlm_head = true;
  bool nsp_head = true;

  Activation activation() const;
};

// The keys that decide the model; others of a config.json (id2label, torch_dtype ...) are kept
// apart and ignored.
const std::vector<std::string>& bert_keys();

// Reads and checks. Throws InputError naming the key, its value and what would be right.
BertConfig bert_config(const Json& json);
Json to_json(const BertConfig& config);

// Throws InputError naming the first size that does not divide over `ranks` tensor ranks.
void check_layout(const BertConfig& config, int ranks);

}  // namespace weft
