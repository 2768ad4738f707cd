// One thread reads blocks of text, the others split them into words and count.
#include "core/text/word_counter.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include "core/base/text_reader.hpp"
#include "core/text/jsonl.hpp"
#include "core/text/unicode.hpp"
#include "core/text/utf8.hpp"
#include "core/text/word_splitter.hpp"

namespace weft {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;

struct Hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};
using Counts = std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>>;

// Blocks between the reader and the counters; holds few, so that reading waits for counting.
class BlockQueue {
 public:
  explicit BlockQueue(std::size_t capacity) : capacity_(capacity) {}

  void push(std::string block) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return blocks_.size() < capacity_ || failure_; });
    if (failure_) std::rethrow_exception(failure_);
    blocks_.push_back(std::move(block));
    changed_.notify_all();
  }
  // Nothing when the queue is closed and empty.
  std::optional<std::string> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !blocks_.empty() || closed_; });
    if (blocks_.empty()) return std::nullopt;
    std::string block = std::move(blocks_.front());
    blocks_.pop_front();
    changed_.notify_all();
    return block;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  void fail(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    changed_.notify_all();
  }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> blocks_;
  bool closed_ = false;
  std::exception_ptr failure_;
};

// Closes the queue however the reader ends, so that the counters end and can be joined.
struct CloseAtEnd {
  BlockQueue& queue;
  ~CloseAtEnd() { queue.close(); }
};

class Counter {
 public:
  Counter(const CharTable& table, const BertNormalizerOptions& options, std::int64_t max_chars)
      : table_(table), options_(options), max_chars_(max_chars) {}

  void count(std::string_view block) {
    WordSplitter splitter(table_, options_, to_valid_utf8(block, repaired_), 0);
    while (splitter.next(words_)) {
      for (const Words::Word& word : words_.words) add(words_.text(word));
    }
  }
  Counts take() { return std::move(counts_); }

 private:
  void add(std::string_view word) {
    const auto found = counts_.find(word);
    if (found != counts_.end()) {
      ++found->second;
    } else if (static_cast<std::int64_t>(word.size()) <= max_chars_ ||
               count_code_points(word) <= max_chars_) {
      counts_.emplace(word, 1);
    }
  }

  const CharTable& table_;
  const BertNormalizerOptions& options_;
  const std::int64_t max_chars_;
  std::string repaired_;
  Words words_;
  Counts counts_;
};

// A line end stands between texts: no word, and no rule of the normaliser, reaches across it.
void read_blocks(const std::vector<std::filesystem::path>& files, BlockQueue& queue,
                 const ReadProgress& progress) {
  std::uint64_t total = 0, finished = 0;
  for (const auto& file : files) {
    std::error_code unknown;
    const std::uintmax_t size = std::filesystem::file_size(file, unknown);
    if (!unknown) total += size;
  }
  if (progress) progress(0, total);
  std::string block;
  for (const auto& file : files) {
    TextReader reader(file);
    const bool json = is_jsonl(file);
    for (std::string_view line; reader.next(line);) {
      if (json && !line.empty()) {
        const LineTexts texts = parse_line_texts(line, reader.where());
        block.append(texts.a).append("\n").append(texts.b.value_or(""));
      } else {
        block.append(line);
      }
      block.push_back('\n');
      if (block.size() < kBlock) continue;
      queue.push(std::exchange(block, {}));
      if (progress) progress(finished + reader.bytes_read(), total);
    }
    finished += reader.bytes_read();
  }
  queue.push(std::move(block));
  if (progress) progress(finished, total);
}

std::vector<WordCount> sorted(Counts counts) {
  std::vector<WordCount> words;
  words.reserve(counts.size());
  for (const auto& [word, count] : counts) words.push_back({word, count});
  std::sort(words.begin(), words.end(), [](const WordCount& a, const WordCount& b) {
    return a.count != b.count ? a.count > b.count : a.word < b.word;
  });
  return words;
}

}  // namespace

std::vector<WordCount> count_words(const std::vector<std::filesystem::path>& files,
                                   const BertNormalizerOptions& options, std::int64_t max_chars,
                                   int threads, const ReadProgress& progress) {
  const CharTable& table = char_table();
  std::vector<Counter> counters(static_cast<std::size_t>(std::max(threads, 1)),
                                Counter(table, options, max_chars));
  BlockQueue queue(2 * counters.size());
  {
    std::vector<std::jthread> workers;
    const CloseAtEnd close{queue};
    for (Counter& counter : counters) {
      workers.emplace_back([&queue, &counter] {
        try {
          while (const auto block = queue.pop()) counter.count(*block);
        } catch (...) {
          queue.fail(std::current_exception());
        }
      });
    }
    read_blocks(files, queue, progress);
  }
  queue.rethrow();
  Counts all = counters[0].take();
  for (std::size_t i = 1; i < counters.size(); ++i) {
    for (const auto& [word, count] : counters[i].take()) all[word] += count;
  }
  return sorted(std::move(all));
}

}  // namespace weft
