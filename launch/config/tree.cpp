// A configuration file as a tree, through yaml-cpp's event parser: aliases are never expanded.
#include "launch/config/tree.hpp"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
const std::string kSet = "--set ";

// Builds the tree. A key waits in `pending_key` until its value comes.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string origin, bool has_lines)
      : origin_(std::move(origin)), has_lines_(has_lines) {}

  ConfigNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string&) override { refuse_alias(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_alias(mark); }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, anchor);
    add(mark, node(mark, ConfigNode::Kind::null));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, anchor);
    if (tag != "?" && tag != "!" && !tag.empty()) refuse_tag(mark, tag);
    ConfigNode n = node(mark, ConfigNode::Kind::scalar);
    n.text = value;
    n.quoted = tag == "!";
    add(mark, std::move(n));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, ConfigNode::Kind::list);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, ConfigNode::Kind::map);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    ConfigNode node;
    YAML::Mark mark = {};
    std::string key = {};
    std::string key_where = {};
    bool has_key = false;
  };

  std::string where(const YAML::Mark& mark) const {
    return has_lines_ ? fmt::format("{}:{}", origin_, mark.line + 1) : origin_;
  }

  ConfigNode node(const YAML::Mark& mark, ConfigNode::Kind kind) const {
    ConfigNode n;
    n.kind = kind;
    n.where = where(mark);
    return n;
  }

  void check(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != 0) refuse_alias(mark);
  }
  [[noreturn]] void refuse_alias(const YAML::Mark& mark) const {
    throw InputError(where(mark) + ": anchors and aliases are not allowed here",
                     "write the value where it is used");
  }
  [[noreturn]] void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    throw InputError(fmt::format("{}: tags such as {} are not allowed here", where(mark), tag),
                     "each key has one type: leave the tag out");
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            ConfigNode::Kind kind) {
    check(mark, anchor);
    if (tag != "?" && tag != "!" && !tag.empty()) refuse_tag(mark, tag);
    if (!levels_.empty() && levels_.back().node.kind == ConfigNode::Kind::map &&
        !levels_.back().has_key) {
      throw InputError(where(mark) + ": a key must be a name", "write NAME: VALUE");
    }
    if (levels_.size() >= kMaxDepth) {
      throw InputError(fmt::format("{}: more than {} levels", where(mark), kMaxDepth),
                       "a configuration has three");
    }
    levels_.push_back({.node = node(mark, kind), .mark = mark});
  }

  void close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    add(level.mark, std::move(level.node));
  }

  void add(const YAML::Mark& mark, ConfigNode n) {
    if (levels_.empty()) {
      root_ = std::move(n);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == ConfigNode::Kind::list) {
      level.node.items.push_back(std::move(n));
    } else if (!level.has_key) {
      add_key(mark, level, n);
    } else {
      level.has_key = false;
      n.where = level.key_where;
      level.node.entries.emplace_back(std::move(level.key), std::move(n));
    }
  }

  void add_key(const YAML::Mark& mark, Level& level, const ConfigNode& n) const {
    if (n.kind != ConfigNode::Kind::scalar || n.text == "<<") {
      throw InputError(n.where + ": a key must be a name", "write NAME: VALUE");
    }
    if (const ConfigNode* first = level.node.find(n.text)) {
      throw InputError(fmt::format("{}: key '{}' is given twice", n.where, n.text),
                       fmt::format("the first is at {}: remove one", first->where));
    }
    level.key = n.text;
    level.key_where = where(mark);
    level.has_key = true;
  }

  std::string origin_;
  bool has_lines_;
  std::vector<Level> levels_;
  ConfigNode root_;
};

ConfigNode parse(std::string_view text, const std::string& origin, bool has_lines) {
  if (text.size() > kMaxBytes) {
    throw InputError(fmt::format("{}: larger than {} bytes", origin, kMaxBytes),
                     "a configuration has a few lines: is this the right file?");
  }
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    TreeBuilder builder(origin, has_lines);
    parser.HandleNextDocument(builder);
    TreeBuilder second(origin, has_lines);
    if (parser.HandleNextDocument(second)) {
      throw InputError(origin + ": more than one YAML document", "remove the line '---'");
    }
    return builder.take();
  } catch (const YAML::Exception& e) {
    const std::string place =
        has_lines && e.mark.line >= 0 ? fmt::format("{}:{}", origin, e.mark.line + 1) : origin;
    throw InputError(fmt::format("{}: not YAML: {}", place, e.msg),
                     "write NAME: VALUE, sections indented by spaces");
  }
}

}  // namespace

const ConfigNode* ConfigNode::find(std::string_view key) const {
  const auto it = std::find_if(entries.begin(), entries.end(),
                               [&](const auto& entry) { return entry.first == key; });
  return it == entries.end() ? nullptr : &it->second;
}

ConfigNode* ConfigNode::find(std::string_view key) {
  return const_cast<ConfigNode*>(std::as_const(*this).find(key));
}

std::string key_at(const std::string& where, const std::string& key) {
  return where == kSet + key ? where : where + ": " + key;
}

ConfigNode parse_config_tree(std::string_view text, const std::string& origin) {
  ConfigNode root = parse(text, origin, true);
  if (root.kind == ConfigNode::Kind::null) root.kind = ConfigNode::Kind::map;  // an empty file
  if (root.kind != ConfigNode::Kind::map) {
    throw InputError(origin + ":1: not a configuration: sections expected",
                     "begin with a section such as\n  run: {dir: runs/first}");
  }
  return root;
}

ConfigNode read_config_tree(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    throw InputError(file.string() + ": no such file",
                     "give a configuration; the folder configs/ has some to begin with");
  }
  if (std::filesystem::is_directory(file, error)) {
    throw InputError(file.string() + ": is a directory", "give a YAML file");
  }
  if (std::filesystem::file_size(file, error) > kMaxBytes && !error) {
    throw InputError(fmt::format("{}: larger than {} bytes", file.string(), kMaxBytes),
                     "a configuration has a few lines: is this the right file?");
  }
  return parse_config_tree(read_file(file), file.string());
}

void set_in_tree(ConfigNode& root, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw InputError(fmt::format("--set {}: no KEY=VALUE", assignment),
                     "write for example --set optimizer.lr=1e-4");
  }
  const std::string path = assignment.substr(0, equals);
  const std::string origin = kSet + path;
  ConfigNode value = parse(assignment.substr(equals + 1), origin, false);
  if (value.kind == ConfigNode::Kind::map) {
    throw InputError(origin + ": sets one key, not a section",
                     fmt::format("write --set {}.KEY=VALUE", path));
  }
  ConfigNode* node = &root;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t dot = std::min(path.find('.', begin), path.size());
    const std::string name = path.substr(begin, dot - begin);
    begin = dot + 1;
    if (node->kind != ConfigNode::Kind::map) {  // what stood there was no section
      *node = ConfigNode{.kind = ConfigNode::Kind::map, .where = origin};
    }
    ConfigNode* child = node->find(name);
    if (child == nullptr) {
      node->entries.emplace_back(name, ConfigNode{.kind = ConfigNode::Kind::map, .where = origin});
      child = &node->entries.back().second;
    }
    node = child;
  }
  *node = std::move(value);
  node->where = origin;
}

}  // namespace weft
