// weft fill-mask MODEL_DIR [TEXT...]: the likeliest words at each [MASK].
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text_reader.hpp"
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
  // Published models may have rows beyond the last token, to fill the table up.
  std::vector<std::int32_t> order(
      std::min(logits.size(), static_cast<std::size_t>(tokenizer.vocab_size())));
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
  const Device device = loaded.mesh->device();
  for (const Output& output : loaded.model->outputs(to_device(batch, device), false)) {
    if (output.name == "logits") return to_host(output.value);
  }
  throw InputError("this model has no masked-language-model head",
                   "use a checkpoint of weft pretrain, or a model of a ForMaskedLM architecture");
}

struct Question {
  std::string text;
  TextRow row;
};

// Throws InputError "WHERE: ..." for a text without a mask, or longer than the model reads.
Question question_of(std::string_view text, const std::string& where, const ModelDirectory& loaded,
                     const Tokenizer& tokenizer) {
  Question question{std::string(text), text_row(tokenizer.encode(text))};
  const std::vector<std::int32_t>& ids = question.row.ids;
  const std::string mask = tokenizer.token(tokenizer.special().mask);
  if (std::count(ids.begin(), ids.end(), tokenizer.special().mask) == 0) {
    throw InputError(where + ": no " + mask + " in: " + question.text,
                     "write " + mask + " where a word is wanted");
  }
  if (static_cast<std::int64_t>(ids.size()) > loaded.max_length) {
    throw InputError(where + ": " + std::to_string(ids.size()) + " tokens, but the model has " +
                         std::to_string(loaded.max_length) + " positions",
                     "shorten the text");
  }
  return question;
}

std::string answer(const Question& question, std::size_t top, const ModelDirectory& loaded,
                   const Tokenizer& tokenizer) {
  const std::vector<std::int32_t>& ids = question.row.ids;
  const Tensor logits = logits_of(loaded, question.row, tokenizer.special().pad);
  const auto V = static_cast<std::size_t>(logits.shape().last());
  Json masks = Json::array();
  for (std::size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] != tokenizer.special().mask) continue;
    masks.push_back(candidates({logits.data<float>() + t * V, V}, top, tokenizer));
  }
  return Json{{"text", question.text}, {"masks", masks}}.dump();
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
  const ModelDirectory loaded =
      load_model(directory, {arguments.precision().value_or(DType::f32), arguments.device()});
  check_vocabulary(loaded, *tokenizer, directory.string());
  const auto top = static_cast<std::size_t>(arguments.integer("top"));

  const std::vector<std::string>& given = arguments.positionals();
  std::vector<Question> questions;  // all before the first answer, so that errors come first
  for (std::size_t i = 1; i < given.size(); ++i) {
    questions.push_back(question_of(given[i], "TEXT " + std::to_string(i), loaded, *tokenizer));
  }
  for (const Question& question : questions) {
    console.result(answer(question, top, loaded, *tokenizer));
  }
  if (!questions.empty()) return kDone;
  TextReader lines(0, "standard input");
  for (std::string_view line; lines.next(line);) {
    console.result(
        answer(question_of(line, lines.where(), loaded, *tokenizer), top, loaded, *tokenizer));
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
      .opens_device = true,
      .run = fill_mask_command};
}

}  // namespace weft
