// The published BERT tokenizers and reference encodings of tests/data/tokenizer.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/text_reader.hpp"
#include "core/text/tokenizer.hpp"

namespace weft {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(WEFT_TEST_DIR) / "data/tokenizer" / name;
}

inline std::vector<std::string> fixture_lines(const std::string& name) {
  TextReader reader(fixture(name));
  std::vector<std::string> lines;
  for (std::string_view line; reader.next(line);) lines.emplace_back(line);
  return lines;
}

inline std::vector<Json> fixture_objects(const std::string& name) {
  std::vector<Json> objects;
  for (const std::string& line : fixture_lines(name)) objects.push_back(parse_json(line, name));
  return objects;
}

// A folder that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-text-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }

 private:
  std::filesystem::path path_;
};

// "uncased", "cased" or "chinese".
inline void write_bert(const TemporaryFolder& folder, const std::string& name) {
  std::string vocab;
  for (const std::string& token : fixture_lines("bert-base-" + name + ".vocab.txt.xz")) {
    vocab += token + "\n";
  }
  folder.write("vocab.txt", vocab);
  folder.write("tokenizer_config.json",
               name == "cased" ? R"({"do_lower_case": false})" : R"({"do_lower_case": true})");
}

inline std::unique_ptr<Tokenizer> load_bert(const std::string& name) {
  const TemporaryFolder folder;
  write_bert(folder, name);
  return load_tokenizer(folder.path());
}

}  // namespace weft
