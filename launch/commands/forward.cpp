// weft forward MODEL_DIR [FILE]: runs the bare model and stores what it computes.
#include <algorithm>
#include <cstring>
#include <optional>

#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/base/files.hpp"
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

  TextRow read(std::string_view line, bool is_object, const std::string& where) {
    if (!is_object) return checked(text_row(tokenizer().encode(line, options())), where);
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

// Whether a line begins as {"key": does; a text may begin with a brace.
bool begins_object(std::string_view line) {
  const auto drop_blanks = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  if (!line.starts_with('{')) return false;
  line.remove_prefix(1);
  drop_blanks();
  const std::size_t end = line.starts_with('"') ? line.find('"', 1) : line.npos;
  if (end == line.npos) return false;
  line.remove_prefix(end + 1);
  drop_blanks();
  return line.starts_with(':');
}

std::vector<TextRow> read_rows(RowReader& reader, const std::string& file) {
  const auto lines = file.empty() || file == "-" ? std::make_unique<TextReader>(0, "standard input")
                                                 : std::make_unique<TextReader>(file);
  std::vector<TextRow> rows;
  for (std::string_view line; lines->next(line);) {
    rows.push_back(reader.read(line, is_jsonl(file) || begins_object(line), lines->where()));
  }
  if (rows.empty()) throw InputError(lines->name() + ": no lines", "give one text per line");
  return rows;
}

Tensor whole_mask(const Batch& batch) {
  if (batch.key_mask_BT) return batch.key_mask_BT;
  Tensor ones(batch.ids_BT.shape(), DType::u8);
  std::memset(ones.raw(), 1, ones.bytes());
  return ones;
}

// What is stored of one batch, on the host.
std::vector<Output> results_of(const ModelDirectory& loaded, const Batch& batch,
                               bool hidden_states) {
  std::vector<Output> results = {{"input_ids", batch.ids_BT},
                                 {"token_type_ids", batch.type_ids_BT},
                                 {"attention_mask", whole_mask(batch)}};
  const Batch there = to_device(batch, loaded.mesh->device());
  for (const Output& output : loaded.model->outputs(there, hidden_states)) {
    results.push_back({output.name, to_host(output.value)});
  }
  return results;
}

// The whole tensors that one batch of results is a part of.
std::vector<TensorSpec> specs_of(const std::vector<Output>& results, std::size_t rows) {
  std::vector<TensorSpec> specs;
  for (const Output& result : results) {
    std::vector<std::int64_t> dims(result.value.shape().dims().begin(),
                                   result.value.shape().dims().end());
    dims[0] = static_cast<std::int64_t>(rows);
    specs.push_back(
        {result.name, std::string(safetensors_dtype(result.value.dtype())), Shape(dims)});
  }
  return specs;
}

// All texts are padded to the longest of them; the results of each batch are written at once.
void run_model(const ModelDirectory& loaded, const std::vector<TextRow>& rows, std::int32_t pad_id,
               bool hidden_states, OutputFile& file, const Console& console) {
  std::size_t longest = 0;
  for (const TextRow& row : rows) longest = std::max(longest, row.ids.size());
  std::optional<SafetensorsRowWriter> writer;
  Progress progress(console, "forward", static_cast<double>(rows.size()), "texts");
  for (std::size_t first = 0; first < rows.size(); first += kBatchRows) {
    const std::size_t count = std::min(kBatchRows, rows.size() - first);
    const Batch batch =
        text_batch({rows.data() + first, count}, static_cast<std::int64_t>(longest), pad_id);
    const std::vector<Output> results = results_of(loaded, batch, hidden_states);
    if (!writer) writer.emplace(file, specs_of(results, rows.size()));
    for (const Output& result : results) {
      writer->write(result.name, result.value, static_cast<std::int64_t>(first));
    }
    progress.update(static_cast<double>(first + count));
  }
  progress.finish();
}

// A wrong --output is told before any work.
void check_output(const std::filesystem::path& output) {
  if (std::filesystem::is_directory(output)) {
    throw InputError(output.string() + ": is a directory",
                     "name a file: --output " + (output / "out.safetensors").string());
  }
  const std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  if (!std::filesystem::is_directory(folder)) {
    throw InputError(output.string() + ": its folder does not exist",
                     "make it first: mkdir -p " + folder.string());
  }
}

int forward_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  const std::filesystem::path output = arguments.text("output");
  check_output(output);
  const std::filesystem::path directory = resolve_model_dir(arguments.positional(0), console);
  const ModelDirectory loaded =
      load_model(directory, {arguments.precision().value_or(DType::f32), arguments.device()});
  RowReader reader(directory, loaded);
  const std::vector<TextRow> rows = read_rows(reader, arguments.positional(1));
  StagedFile staged(output);
  run_model(loaded, rows, reader.pad_id(), arguments.flag("hidden-states"), staged.file(), console);
  staged.commit();
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
                "one text per line, or objects {\"text\": ..}, {\"a\": .., \"b\": ..} or {\"ids\": "
                ".., "
                "\"type_ids\": .., \"mask\": ..}, which every line of a .jsonl file is; standard "
                "input without it",
            .min = 0}},
      .options = {{.name = "output",
                   .kind = Option::Kind::text,
                   .value = "F.safetensors",
                   .help = "where the tensors go",
                   .required = true},
                  {.name = "hidden-states", .help = "store the output of every layer as well"}},
      .example = "weft forward runs/bert-mini texts.txt --output out.safetensors",
      .opens_device = true,
      .details = "Texts are cut to the model's positions and padded to the longest of them.",
      .run = forward_command};
}

}  // namespace weft
