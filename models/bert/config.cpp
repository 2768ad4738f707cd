// The configuration of a BERT model.
#include "models/bert/config.hpp"

#include <charconv>
#include <limits>
#include <map>

#include "core/base/error.hpp"

namespace weft {

namespace {

const std::map<std::string, Activation>& activations() {
  static const std::map<std::string, Activation> table{{"gelu", Activation::gelu},
                                                       {"gelu_new", Activation::gelu_tanh},
                                                       {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                       {"relu", Activation::relu},
                                                       {"tanh", Activation::tanh}};
  return table;
}

[[noreturn]] void bad(const std::string& key, const Json& value, const std::string& wanted) {
  throw InputError("model." + key + ": " + value.dump() + " is not usable", "use " + wanted);
}

void read(const Json& json, const char* key, std::int64_t& value, std::int64_t least) {
  if (!json.contains(key)) return;
  const Json& v = json[key];
  constexpr auto most = std::numeric_limits<std::int32_t>::max();
  const bool fits = v.is_number_integer() && v.get<double>() >= static_cast<double>(least) &&
                    v.get<double>() <= static_cast<double>(most);
  if (!fits) bad(key, v, "a whole number from " + std::to_string(least));
  value = v.get<std::int64_t>();
}

void read(const Json& json, const char* key, float& value, float least, float most) {
  if (!json.contains(key)) return;
  const Json& v = json[key];
  if (!v.is_number() || v.get<float>() < least || !(v.get<float>() < most)) {
    bad(key, v, "a number from " + Json(least).dump() + " to below " + Json(most).dump());
  }
  value = v.get<float>();
}

// The double with the fewest digits that is this float: 0.1, not 0.10000000149011612.
double shortest(float x) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, x).ptr;
  double value = 0;
  std::from_chars(digits, end, value);
  return value;
}

void read_heads(const Json& json, BertConfig& c) {
  if (!json.contains("architectures") || !json["architectures"].is_array() ||
      json["architectures"].empty()) {
    return;
  }
  const std::string name = json["architectures"][0].is_string() ? json["architectures"][0] : "";
  c.nsp_head = name == "BertForPreTraining";
  c.mlm_head = name == "BertForPreTraining" || name == "BertForMaskedLM";
  c.pooler = name != "BertForMaskedLM" && name != "BertForTokenClassification" &&
             name != "BertForQuestionAnswering";
}

}  // namespace

Activation BertConfig::activation() const { return activations().at(hidden_act); }

const std::vector<std::string>& bert_keys() {
  static const std::vector<std::string> keys{"vocab_size",
                                             "hidden_size",
                                             "num_hidden_layers",
                                             "num_attention_heads",
                                             "intermediate_size",
                                             "hidden_act",
                                             "hidden_dropout_prob",
                                             "attention_probs_dropout_prob",
                                             "max_position_embeddings",
                                             "type_vocab_size",
                                             "initializer_range",
                                             "layer_norm_eps",
                                             "pad_token_id"};
  return keys;
}

BertConfig bert_config(const Json& json) {
  BertConfig c;
  read(json, "vocab_size", c.vocab_size, 1);
  read(json, "hidden_size", c.hidden_size, 1);
  read(json, "num_hidden_layers", c.num_hidden_layers, 1);
  read(json, "num_attention_heads", c.num_attention_heads, 1);
  read(json, "intermediate_size", c.intermediate_size, 1);
  read(json, "max_position_embeddings", c.max_position_embeddings, 1);
  read(json, "type_vocab_size", c.type_vocab_size, 1);
  read(json, "pad_token_id", c.pad_token_id, 0);
  read(json, "hidden_dropout_prob", c.hidden_dropout_prob, 0.0F, 1.0F);
  read(json, "attention_probs_dropout_prob", c.attention_probs_dropout_prob, 0.0F, 1.0F);
  read(json, "initializer_range", c.initializer_range, 0.0F, 1e6F);
  read(json, "layer_norm_eps", c.layer_norm_eps, 0.0F, 1.0F);
  if (json.contains("hidden_act")) {
    const Json& v = json["hidden_act"];
    if (!v.is_string() || !activations().contains(v.get<std::string>())) {
      bad("hidden_act", v, "gelu, gelu_new, gelu_pytorch_tanh, relu or tanh");
    }
    c.hidden_act = v.get<std::string>();
  }
  if (json.contains("position_embedding_type") && json["position_embedding_type"] != "absolute") {
    bad("position_embedding_type", json["position_embedding_type"], "absolute");
  }
  if (c.hidden_size % c.num_attention_heads != 0) {
    throw InputError("model.hidden_size: " + std::to_string(c.hidden_size) +
                         " is not a multiple of model.num_attention_heads: " +
                         std::to_string(c.num_attention_heads),
                     "the size of a head, hidden_size / num_attention_heads, must be whole");
  }
  read_heads(json, c);
  return c;
}

Json to_json(const BertConfig& c) {
  const char* architecture = c.nsp_head   ? "BertForPreTraining"
                             : c.mlm_head ? "BertForMaskedLM"
                                          : "BertModel";
  return {{"architectures", {architecture}},
          {"model_type", "bert"},
          {"vocab_size", c.vocab_size},
          {"hidden_size", c.hidden_size},
          {"num_hidden_layers", c.num_hidden_layers},
          {"num_attention_heads", c.num_attention_heads},
          {"intermediate_size", c.intermediate_size},
          {"hidden_act", c.hidden_act},
          {"hidden_dropout_prob", shortest(c.hidden_dropout_prob)},
          {"attention_probs_dropout_prob", shortest(c.attention_probs_dropout_prob)},
          {"max_position_embeddings", c.max_position_embeddings},
          {"type_vocab_size", c.type_vocab_size},
          {"initializer_range", shortest(c.initializer_range)},
          {"layer_norm_eps", shortest(c.layer_norm_eps)},
          {"pad_token_id", c.pad_token_id},
          {"position_embedding_type", "absolute"},
          {"tie_word_embeddings", true},
          {"torch_dtype", "float32"}};
}

void check_layout(const BertConfig& c, int ranks) {
  auto divide = [&](const char* key, std::int64_t size, const char* what) {
    if (size % ranks == 0) return;
    throw InputError("model." + std::string(key) + ": " + std::to_string(size) + " " + what +
                         " do not divide over parallel.tensor: " + std::to_string(ranks),
                     "choose a tensor size that divides both");
  };
  divide("num_attention_heads", c.num_attention_heads, "heads");
  divide("intermediate_size", c.intermediate_size, "features");
}

}  // namespace weft
