// Token files for tests, made from text or from lists of sentence lengths.
#pragma once

#include <string>
#include <vector>

#include "core/data/prepare.hpp"
#include "tests/core/data/fake_tokenizer.hpp"
#include "tests/scratch_dir.hpp"

namespace weft::testing_support {

// One sentence per line, blank lines between documents.
inline std::filesystem::path make_tokens(const std::filesystem::path& prefix,
                                         const std::string& text,
                                         const Tokenizer& tokenizer = FakeTokenizer()) {
  const auto source = token_file_path(prefix, ".txt");
  put(source, text);
  PrepareOptions options;
  options.files = {source};
  options.output = prefix;
  options.text.split_sentences = false;
  options.threads = 1;
  prepare(options, tokenizer);
  return prefix;
}

// Documents of sentences of so many one-piece words; the words count up through the whole text,
// modulo 500, so that a token tells where it stands.
inline std::string counting_text(const std::vector<std::vector<int>>& documents) {
  std::string text;
  int n = 0;
  for (const auto& lengths : documents) {
    for (const int length : lengths) {
      for (int i = 0; i < length; ++i) text += std::to_string(n++ % 500) + " ";
      text += "\n";
    }
    text += "\n";
  }
  return text;
}

}  // namespace weft::testing_support
