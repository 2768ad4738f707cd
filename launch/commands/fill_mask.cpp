// weft fill-mask MODEL_DIR [TEXT...]: the likeliest words at each [MASK].
#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/data/text_batch.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/console.hpp"
#include "launch/model_dir.hpp"
#include "models/load.hpp"

namespace weft {

namespace {

// The `top` likeliest tokens of one row of logits, with their softmax probabilities.
Json candidates(std::span<const float> logits, std::size_t top, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  top = std::min(top, order.size());
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    const float x = logits[static_cast<std::size_t>(a)];
    const float y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(top), order.end(),
                    likelier);

  const double highest = logits[static_cast<std::size_t>(order[0])];
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - highest);
  Json list = Json::array();
  for (std::size_t i = 0; i < top; ++i) {
    const double p = std::exp(logits[static_cast<std::size_t>(order[i])] - highest) / sum;
    list.push_back({{"token", tokenizer.token(order[i])}, {"id", order[i]}, {"score", p}});
  }
  return list;
}

Tensor logits_of(const ModelDirectory& loaded, const TextRow& row, std::int32_t pad) {
  const Batch batch = text_batch({&row, 1}, static_cast<std::int64_t>(row.ids.size()), pad);
  for (const Output& output : loaded.model->outputs(batch, false)) {
    if (output.name == "logits") return output.value;
  }
  throw InputError("this model has no masked-language-model head",
                   "use a checkpoint of weft pretrain, or a model of a ForMaskedLM architecture");
}

Json fill(const std::string& text, std::size_t top, const ModelDirectory& loaded,
          const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  const Encoding encoding = tokenizer.encode(text, {.max_length = loaded.max_length});
  const TextRow row = text_row(encoding);
  if (std::count(row.ids.begin(), row.ids.end(), special.mask) == 0) {
    throw InputError("no " + tokenizer.token(special.mask) + " in: " + text,
                     "write " + tokenizer.token(special.mask) + " where a word is wanted");
  }
  const Tensor logits = logits_of(loaded, row, special.pad);
  const auto V = static_cast<std::size_t>(logits.shape().last());
  Json masks = Json::array();
  for (std::size_t t = 0; t < row.ids.size(); ++t) {
    if (row.ids[t] != special.mask) continue;
    masks.push_back(candidates({logits.data<float>() + t * V, V}, top, tokenizer));
  }
  return {{"text", text}, {"masks", masks}};
}

void check_vocabulary(const ModelDirectory& loaded, const Tokenizer& tokenizer,
                      const std::string& directory) {
  if (tokenizer.special().mask < 0) {
    throw InputError(directory + ": its tokenizer has no mask token",
                     "use a model made for masked words");
  }
  if (tokenizer.vocab_size() > loaded.vocab_size) {
    throw InputError(directory + ": its tokenizer has " + std::to_string(tokenizer.vocab_size()) +
                         " tokens, its model " + std::to_string(loaded.vocab_size),
                     "use the tokenizer that the model was trained with");
  }
}

int fill_mask_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  const std::filesystem::path directory = resolve_model_dir(arguments.positional(0), console);
  const auto tokenizer = load_tokenizer(directory);
  const ModelDirectory loaded = load_model(directory, arguments.precision().value_or(DType::f32));
  check_vocabulary(loaded, *tokenizer, directory.string());
  const auto top = static_cast<std::size_t>(arguments.integer("top"));

  const std::vector<std::string>& given = arguments.positionals();
  for (std::size_t i = 1; i < given.size(); ++i) {
    console.result(fill(given[i], top, loaded, *tokenizer).dump());
  }
  if (given.size() > 1) return kDone;
  for (std::string line; std::getline(std::cin, line);) {
    console.result(fill(line, top, loaded, *tokenizer).dump());
  }
  return kDone;
}

}  // namespace

Command describe_fill_mask() {
  return {
      .name = "fill-mask",
      .summary = "the likeliest words at each [MASK] of a text",
      .positionals = {{.name = "MODEL_DIR", .help = "a model, checkpoint or run directory"},
                      {.name = "TEXT",
                       .help = "texts with [MASK] in them; without any, lines of standard input",
                       .min = 0,
                       .max = kAnyNumber}},
      .options = {{.name = "top",
                   .kind = Option::Kind::integer,
                   .value = "K",
                   .help = "how many words for each mask",
                   .fallback = "5",
                   .min = 1}},
      .example = "weft fill-mask runs/bert-mini \"The capital of France is [MASK].\"",
      .run = fill_mask_command};
}

}  // namespace weft
