// Reading and checking BERT configurations; parameter counts of published models.
#include "models/bert/config.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "models/registry.hpp"

namespace weft {
namespace {

std::string problem(const Json& json) {
  try {
    bert_config(json);
  } catch (const InputError& e) {
    return std::string(e.what()) + " | " + e.hint();
  }
  return "";
}

TEST(BertConfig, DefaultsAreThoseOfBertBase) {
  const BertConfig c = bert_config(Json::object());
  EXPECT_EQ(c.hidden_size, 768);
  EXPECT_EQ(c.vocab_size, 30522);
  EXPECT_TRUE(c.nsp_head && c.mlm_head && c.pooler);
}

TEST(BertConfig, ArchitecturesDecideTheHeads) {
  const BertConfig mlm = bert_config({{"architectures", {"BertForMaskedLM"}}});
  EXPECT_TRUE(mlm.mlm_head);
  EXPECT_FALSE(mlm.nsp_head || mlm.pooler);
  const BertConfig bare = bert_config({{"architectures", {"BertModel"}}});
  EXPECT_TRUE(bare.pooler);
  EXPECT_FALSE(bare.nsp_head || bare.mlm_head);
}

TEST(BertConfig, SurvivesARoundTrip) {
  BertConfig c;
  c.hidden_size = 256;
  c.num_attention_heads = 4;
  c.layer_norm_eps = 1e-5F;
  c.nsp_head = c.pooler = false;
  const Json json = to_json(c);
  EXPECT_EQ(to_json(bert_config(json)), json);
}

TEST(BertConfig, NamesTheKeyAndWhatWouldBeRight) {
  EXPECT_NE(problem({{"hidden_act", "swoosh"}}).find("gelu_new"), std::string::npos);
  EXPECT_NE(problem({{"hidden_size", 100}}).find("num_attention_heads"), std::string::npos);
  EXPECT_NE(problem({{"num_hidden_layers", 0}}).find("model.num_hidden_layers"), std::string::npos);
  EXPECT_NE(problem({{"hidden_dropout_prob", 1.0}}).find("hidden_dropout_prob"), std::string::npos);
  EXPECT_NE(problem({{"hidden_size", 1e30}}).find("hidden_size"), std::string::npos);
  EXPECT_NE(problem({{"position_embedding_type", "relative_key"}}).find("absolute"),
            std::string::npos);
  EXPECT_EQ(problem({{"hidden_size", 128}, {"num_attention_heads", 2}}), "");
}

TEST(BertConfig, LayoutsThatDoNotDivideAreRefused) {
  BertConfig c;
  EXPECT_NO_THROW(check_layout(c, 4));
  EXPECT_THROW(check_layout(c, 8), InputError);  // 12 heads
}

// Published: BERT base uncased 110,106,428 with both heads, 109,514,298 for the masked language
// model alone.
TEST(BertModel, HasThePublishedParameterCounts) {
  const auto count = [](const char* architecture) {
    Mesh mesh = Mesh::single();
    const auto model =
        build_model({{"model_type", "bert"}, {"architectures", {architecture}}}, mesh, DType::bf16);
    std::int64_t n = 0;
    for (const NamedParameter& p : parameters(*model)) n += p.parameter->full.numel();
    return n;
  };
  EXPECT_EQ(count("BertForPreTraining"), 110106428);
  EXPECT_EQ(count("BertForMaskedLM"), 109514298);
  EXPECT_EQ(count("BertModel"), 109482240);
}

}  // namespace
}  // namespace weft
