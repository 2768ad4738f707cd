// weft forward MODEL_DIR [FILE]: runs the bare model and stores what it computes.
#include <algorithm>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text_reader.hpp"
#include "core/data/text_batch.hpp"
#include "core/io/safetensors_writer.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/console.hpp"
#include "launch/model_dir.hpp"
#include "models/load.hpp"

namespace weft {

namespace {

constexpr std::size_t kBatchRows = 16;

// One line of input: a plain text, or an object with "text", with "a" and "b", or with "ids".
class RowReader {
 public:
  RowReader(std::filesystem::path directory, const ModelDirectory& loaded)
      : directory_(std::move(directory)), loaded_(&loaded) {}

  TextRow read(std::string_view line, const std::string& where) {
    if (line.empty() || line[0] != '{')
      return checked(text_row(tokenizer().encode(line, options())), where);
    const Json json = parse_json(line, where);
    if (json.contains("ids")) return checked(explicit_row(json, where), where);
    if (json.contains("a") && json.contains("b")) {
      return checked(text_row(tokenizer().encode_pair(text(json, "a", where),
                                                      text(json, "b", where), options())),
                     where);
    }
    return checked(text_row(tokenizer().encode(text(json, "text", where), options())), where);
  }

  std::int32_t pad_id() { return tokenizer_ ? std::max(tokenizer_->special().pad, 0) : 0; }

 private:
  const Tokenizer& tokenizer() {
    if (!tokenizer_) tokenizer_ = load_tokenizer(directory_);
    return *tokenizer_;
  }
  EncodeOptions options() const { return {.max_length = loaded_->max_length}; }

  static std::string text(const Json& json, const char* key, const std::string& where) {
    if (!json.contains(key) || !json[key].is_string()) {
      throw InputError(where + ": no string \"" + key + "\"",
                       R"(write {"text": ".."}, {"a": "..", "b": ".."} or {"ids": [..]})");
    }
    return json[key].get<std::string>();
  }

  template <class T>
  static std::vector<T> numbers(const Json& json, const char* key, std::int64_t below,
                                const std::string& where) {
    std::vector<T> list;
    if (!json[key].is_array())
      throw InputError(where + ": \"" + key + "\" is not a list of numbers", "write [1, 2]");
    for (const Json& v : json[key]) {
      if (!v.is_number_integer() || v.get<std::int64_t>() < 0 || v.get<std::int64_t>() >= below) {
        throw InputError(where + ": " + v.dump() + " in \"" + key + "\"",
                         "use whole numbers from 0 to " + std::to_string(below - 1));
      }
      list.push_back(v.get<T>());
    }
    return list;
  }

  TextRow explicit_row(const Json& json, const std::string& where) const {
    TextRow row{.ids = numbers<std::int32_t>(json, "ids", loaded_->vocab_size, where)};
    row.type_ids.assign(row.ids.size(), 0);
    row.mask.assign(row.ids.size(), 1);
    if (json.contains("type_ids")) {
      row.type_ids = numbers<std::int32_t>(json, "type_ids", loaded_->type_vocab_size, where);
    }
    if (json.contains("mask")) row.mask = numbers<std::uint8_t>(json, "mask", 2, where);
    if (row.type_ids.size() != row.ids.size() || row.mask.size() != row.ids.size()) {
      throw InputError(where + ": ids, type_ids and mask differ in length",
                       "give one number per token in each");
    }
    return row;
  }

  TextRow checked(TextRow row, const std::string& where) const {
    if (row.ids.empty())
      throw InputError(where + ": no tokens", "give at least one token per line");
    if (static_cast<std::int64_t>(row.ids.size()) > loaded_->max_length) {
      throw InputError(where + ": " + std::to_string(row.ids.size()) +
                           " tokens, but the model has " + std::to_string(loaded_->max_length) +
                           " positions",
                       "shorten the line");
    }
    for (const std::int32_t id : row.ids) {
      if (id >= loaded_->vocab_size) {
        throw InputError(where + ": token id " + std::to_string(id) +
                             " is outside the model's vocabulary of " +
                             std::to_string(loaded_->vocab_size),
                         "use the tokenizer that the model was trained with");
      }
    }
    return row;
  }

  std::filesystem::path directory_;
  const ModelDirectory* loaded_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

std::vector<TextRow> read_rows(RowReader& reader, const std::string& file) {
  const auto lines = file.empty() || file == "-" ? std::make_unique<TextReader>(0, "standard input")
                                                 : std::make_unique<TextReader>(file);
  std::vector<TextRow> rows;
  for (std::string_view line; lines->next(line);) rows.push_back(reader.read(line, lines->where()));
  if (rows.empty()) throw InputError(lines->name() + ": no lines", "give one text per line");
  return rows;
}

// Results of all batches, each of dim 0 = all rows.
class Results {
 public:
  explicit Results(std::int64_t rows) : rows_(rows) {}

  void put(const std::string& name, const Tensor& part, std::int64_t first) {
    Tensor& whole = tensor(name);
    if (!whole) {
      std::vector<std::int64_t> dims(part.shape().dims().begin(), part.shape().dims().end());
      dims[0] = rows_;
      whole = Tensor(Shape(dims), part.dtype());
    }
    const Tensor place = whole.narrow(first, part.shape()[0]);
    std::memcpy(place.raw(), part.raw(), part.bytes());
  }
  const std::vector<std::pair<std::string, Tensor>>& tensors() const { return tensors_; }

 private:
  Tensor& tensor(const std::string& name) {
    for (auto& [known, value] : tensors_) {
      if (known == name) return value;
    }
    return tensors_.emplace_back(name, Tensor{}).second;
  }

  std::int64_t rows_;
  std::vector<std::pair<std::string, Tensor>> tensors_;
};

Tensor whole_mask(const Batch& batch) {
  if (batch.key_mask_BT) return batch.key_mask_BT;
  Tensor ones(batch.ids_BT.shape(), DType::u8);
  std::memset(ones.raw(), 1, ones.bytes());
  return ones;
}

Results run_model(const PretrainingModel& model, const std::vector<TextRow>& rows,
                  std::int32_t pad_id, bool hidden_states, const Console& console) {
  std::size_t longest = 0;
  for (const TextRow& row : rows) longest = std::max(longest, row.ids.size());
  Results results(static_cast<std::int64_t>(rows.size()));
  Progress progress(console, "forward", static_cast<double>(rows.size()), "texts");
  for (std::size_t first = 0; first < rows.size(); first += kBatchRows) {
    const std::size_t count = std::min(kBatchRows, rows.size() - first);
    const Batch batch =
        text_batch({rows.data() + first, count}, static_cast<std::int64_t>(longest), pad_id);
    const auto at = static_cast<std::int64_t>(first);
    results.put("input_ids", batch.ids_BT, at);
    results.put("token_type_ids", batch.type_ids_BT, at);
    results.put("attention_mask", whole_mask(batch), at);
    for (const Output& output : model.outputs(batch, hidden_states))
      results.put(output.name, output.value, at);
    progress.update(static_cast<double>(first + count));
  }
  progress.finish();
  return results;
}

int forward_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  const std::filesystem::path output = arguments.text("output");
  const std::filesystem::path directory = resolve_model_dir(arguments.positional(0), console);
  const ModelDirectory loaded = load_model(directory, arguments.precision().value_or(DType::f32));
  RowReader reader(directory, loaded);
  const std::vector<TextRow> rows = read_rows(reader, arguments.positional(1));
  const Results results =
      run_model(*loaded.model, rows, reader.pad_id(), arguments.flag("hidden-states"), console);
  write_safetensors(output, results.tensors());
  console.info(std::to_string(rows.size()) + " texts -> " + output.string());
  return kDone;
}

}  // namespace

Command describe_forward() {
  return {
      .name = "forward",
      .summary = "run the bare model on texts and store logits and hidden states",
      .positionals =
          {{.name = "MODEL_DIR", .help = "a model, checkpoint or run directory"},
           {.name = "FILE",
            .help =
                "one text per line, or JSON objects with text, with a and b, or with ids, type_ids "
                "and mask; standard input without it",
            .min = 0}},
      .options = {{.name = "output",
                   .kind = Option::Kind::text,
                   .value = "F.safetensors",
                   .help = "where the tensors go",
                   .required = true},
                  {.name = "hidden-states", .help = "store the output of every layer as well"}},
      .example = "weft forward runs/bert-mini texts.txt --output out.safetensors",
      .run = forward_command};
}

}  // namespace weft
