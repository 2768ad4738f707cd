// weft tokenize: texts to ids, or ids to texts.
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text_reader.hpp"
#include "core/text/jsonl.hpp"
#include "core/text/tokenizer.hpp"
#include "core/text/utf8.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"

namespace weft {

namespace {

void write_line(const std::string& line) {
  const std::string whole = line + "\n";
  if (std::fwrite(whole.data(), 1, whole.size(), stdout) != whole.size()) {
    throw Error(std::string("standard output cannot be written: ") + std::strerror(errno));
  }
}

Encoding encode_line(const Tokenizer& tokenizer, std::string_view line, const std::string& where,
                     bool json, const EncodeOptions& options) {
  if (!json) return tokenizer.encode(line, options);
  const LineTexts texts = parse_line_texts(line, where);
  return texts.b ? tokenizer.encode_pair(texts.a, *texts.b, options)
                 : tokenizer.encode(texts.a, options);
}

std::string ids_line(const std::vector<std::int32_t>& ids) {
  std::string line;
  for (const std::int32_t id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  return line;
}

std::string json_line(const Tokenizer& tokenizer, const Encoding& encoding) {
  Json tokens = Json::array();
  for (const std::int32_t id : encoding.ids) tokens.push_back(tokenizer.token(id));
  return Json{{"ids", encoding.ids},
              {"tokens", tokens},
              {"offsets", encoding.offsets},
              {"type_ids", encoding.type_ids}}
      .dump();
}

// Ids between spaces or commas, with or without brackets; or an object with "ids".
std::vector<std::int32_t> parse_ids(std::string_view line, const std::string& where,
                                    std::int32_t vocab_size) {
  std::string list(line);
  if (line.starts_with('{')) {
    const Json json = parse_json(line, where);
    if (!json.contains("ids")) throw InputError(where + ": no \"ids\"", R"(write {"ids": [..]})");
    list = json["ids"].dump();
  }
  std::vector<std::int32_t> ids;
  const char* const end = list.data() + list.size();
  for (const char* p = list.data(); p != end;) {
    if (std::strchr(" \t,[]", *p) != nullptr && *p != '\0') {
      ++p;
      continue;
    }
    std::int32_t id = 0;
    const auto [after, error] = std::from_chars(p, end, id);
    if (error != std::errc() || id < 0 || id >= vocab_size) {
      const std::string shown(p, std::min(end, p + 20));
      throw InputError(where + ": not an id: " + shown.substr(0, shown.find_first_of(" \t,]", 1)),
                       "ids are whole numbers from 0 to " + std::to_string(vocab_size - 1));
    }
    ids.push_back(id);
    p = after;
  }
  return ids;
}

std::string decode_line(const Tokenizer& tokenizer, std::string_view line, const std::string& where,
                        const Arguments& arguments) {
  const std::vector<std::int32_t> ids = parse_ids(line, where, tokenizer.vocab_size());
  const std::string text = tokenizer.decode(ids, arguments.flag("no-special"));
  return arguments.json() ? Json{{"text", text}}.dump() : text;
}

int tokenize_command(const Arguments& arguments) {
  const auto tokenizer = load_tokenizer(arguments.positional(0));
  const EncodeOptions options{.special_tokens = !arguments.flag("no-special"),
                              .max_length = arguments.integer("max-length")};
  tokenizer->encode("", options);  // a length that holds no text shows before any output
  const std::string file = arguments.positional(1);
  const bool from_stdin = file.empty() || file == "-";
  const auto reader = from_stdin ? std::make_unique<TextReader>(0, "standard input")
                                 : std::make_unique<TextReader>(file);
  for (std::string_view line; reader->next(line);) {
    if (arguments.flag("decode")) {
      write_line(decode_line(*tokenizer, line, reader->where(), arguments));
      continue;
    }
    const Encoding encoding =
        encode_line(*tokenizer, line, reader->where(), is_jsonl(file), options);
    write_line(arguments.json() ? json_line(*tokenizer, encoding) : ids_line(encoding.ids));
  }
  if (std::fflush(stdout) != 0) {
    throw Error(std::string("standard output cannot be written: ") + std::strerror(errno));
  }
  return kDone;
}

}  // namespace

Command describe_tokenize() {
  return {.name = "tokenize",
          .summary = "turn texts into ids, or ids into texts",
          .positionals = {{.name = "TOKENIZER_DIR",
                           .help = "a directory with tokenizer.json or vocab.txt"},
                          {.name = "FILE",
                           .help = "one text per line, or .jsonl with \"text\" or \"a\" and \"b\"; "
                                   "without it, standard input",
                           .min = 0}},
          .options = {{.name = "no-special", .help = "no special tokens around the text"},
                      {.name = "decode", .help = "the other way: lines of ids to texts"},
                      {.name = "max-length",
                       .kind = Option::Kind::integer,
                       .value = "N",
                       .help = "cut to N ids, special tokens included; of a pair the longer first",
                       .min = 1}},
          .example = "echo 'Hello world' | weft tokenize data/tokenizer --json",
          .details =
              "With --json each line is {\"ids\", \"tokens\", \"offsets\", \"type_ids\"}; "
              "offsets are half-open ranges of code points, [0, 0] for special tokens that "
              "were added. With --decode, --no-special leaves special tokens out of the "
              "text.",
          .run = tokenize_command};
}

}  // namespace weft
