// Product tables as YAML, written and read strictly.
#include "launch/products/product_file.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "core/backend/work.hpp"
#include "core/base/error.hpp"
#include "launch/config/tree.hpp"
#include "launch/config/values.hpp"

namespace weft {

namespace {

constexpr std::int64_t kFormat = 2;
constexpr std::int64_t kMost = std::int64_t{1} << 40;  // of any number in the file

// One map of the file, which has the keys that are asked for and no others.
class Section {
 public:
  Section(const ConfigNode& node, std::string where) : node_(node), where_(std::move(where)) {
    if (node.kind != ConfigNode::Kind::map) {
      throw InputError(where_ + ": keys with values are expected here");
    }
  }

  const ConfigNode& at(const std::string& key) {
    known_.push_back(key);
    const ConfigNode* found = node_.find(key);
    if (found == nullptr) throw InputError(fmt::format("{}: {} is missing", where_, key));
    return *found;
  }

  std::string text(const std::string& key) {
    const ConfigNode& n = at(key);
    if (n.kind != ConfigNode::Kind::scalar) refuse(n, key, "a text");
    return n.text;
  }

  std::int64_t number(const std::string& key, std::int64_t least = 1) {
    const std::string digits = text(key);
    std::int64_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc() || stop != end || value < least || value > kMost) {
      refuse(at(key), key, fmt::format("a whole number from {} on", least));
    }
    return value;
  }

  // One of the values, by the names that `name_of_value` gives them.
  template <class Values, class Name>
  auto choice(const std::string& key, const Values& values, const Name& name_of_value) {
    std::vector<std::string> names;
    for (const auto& value : values) names.emplace_back(name_of_value(value));
    return *(std::begin(values) + static_cast<std::ptrdiff_t>(read_choice(at(key), key, names)));
  }

  void check_no_others() const {
    for (const auto& [key, value] : node_.entries) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        throw InputError(fmt::format("{}: unknown key '{}'", value.where, key));
      }
    }
  }

  [[noreturn]] static void refuse(const ConfigNode& n, const std::string& key,
                                  const std::string& wanted) {
    throw InputError(fmt::format("{}: {}: {} is expected", n.where, key, wanted));
  }

 private:
  const ConfigNode& node_;
  std::string where_;
  std::vector<std::string> known_;
};

struct Layout {
  bool transpose_a, transpose_b;
};
constexpr Layout kLayouts[] = {{false, false}, {false, true}, {true, false}, {true, true}};

ProductClass class_in(Section& entry) {
  const auto layout = entry.choice("product", kLayouts, [](const Layout& l) {
    return work::product_name(l.transpose_a, l.transpose_b);
  });
  const DType dtypes[] = {DType::f32, DType::bf16};
  const bool flags[] = {false, true};
  ProductClass product{
      .dtype = entry.choice("dtype", dtypes, [](DType t) { return name_of(t); }),
      .transpose_a = layout.transpose_a,
      .transpose_b = layout.transpose_b,
      .b_is_weight = entry.choice("weight", flags, [](bool f) { return f ? "true" : "false"; }),
      .m = entry.number("m"),
      .n = entry.number("n"),
      .k = entry.number("k")};
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"m", product.m}, {"n", product.n}, {"k", product.k}};
  for (const auto& [key, size] : sizes) {
    if (size_class(size) == size) continue;
    Section::refuse(entry.at(key), key,
                    fmt::format("the least size of a class, such as {},", size_class(size)));
  }
  return product;
}

// By name. The tiles multiplied bf16 alone at first, and files from then call them so.
ProductKernel kernel_in(Section& entry) {
  std::vector<std::pair<std::string_view, ProductKernel>> kernels{
      {"bf16_tiles", ProductKernel::tiles}};
  for (const ProductKernel k : kProductKernels) kernels.emplace_back(name_of(k), k);
  return entry.choice("kernel", kernels, [](const auto& k) { return k.first; }).second;
}

void add_entry(ProductFile& file, const ConfigNode& node, bool measured_here) {
  Section entry(node, node.where);
  const ProductClass product = class_in(entry);
  const ProductKernel kernel = kernel_in(entry);
  entry.check_no_others();
  const std::vector<ProductKernel> possible = product_kernels(product);
  if (measured_here && std::count(possible.begin(), possible.end(), kernel) == 0) {
    throw InputError(fmt::format("{}: kernel: {} does not compute such products on this CPU",
                                 entry.at("kernel").where, name_of(kernel)));
  }
  if (!file.table.emplace(product, kernel).second) {
    throw InputError(node.where + ": the same product is there twice");
  }
}

ProductFile file_in(const std::string& yaml, const std::string& origin) {
  const ConfigNode root = parse_config_tree(yaml, origin);
  Section top(root, origin);
  if (top.number("format") != kFormat) {
    Section::refuse(top.at("format"), "format", std::to_string(kFormat));
  }
  const auto few = [&](const char* key) {
    return static_cast<int>(std::min<std::int64_t>(top.number(key), 1 << 20));
  };
  ProductFile file{
      .setting = {.cpu = top.text("cpu"), .threads = few("threads"), .ranks = few("ranks")},
      .table = {}};
  const std::int64_t count = top.number("count", 0);
  const ConfigNode& products = top.at("products");
  top.check_no_others();
  if (products.kind != ConfigNode::Kind::list) Section::refuse(products, "products", "a list");
  const bool measured_here = file.setting.cpu == this_cpu();
  for (const ConfigNode& node : products.items) add_entry(file, node, measured_here);
  if (static_cast<std::int64_t>(products.items.size()) != count) {
    throw InputError(fmt::format("{}: products: {} of {} are there: the file is not whole",
                                 products.where, products.items.size(), count));
  }
  return file;
}

}  // namespace

std::string to_yaml(const ProductFile& file) {
  std::string yaml = fmt::format(
      "# Which kernel multiplies fastest, as weft doctor --products measured it. A size stands "
      "for\n"
      "# those from it to below the next of 1, 2, 3, 4, 6, 8, 12, 16, 24 ...\n"
      "format: {}\ncpu: {}\nthreads: {}\nranks: {}\ncount: {}\nproducts:{}\n",
      kFormat, yaml_value(Json(file.setting.cpu)), file.setting.threads, file.setting.ranks,
      file.table.size(), file.table.empty() ? " []" : "");
  for (const auto& [p, kernel] : file.table) {
    yaml +=
        fmt::format("  - {{product: {}, dtype: {}, weight: {}, m: {}, n: {}, k: {}, kernel: {}}}\n",
                    work::product_name(p.transpose_a, p.transpose_b), name_of(p.dtype),
                    p.b_is_weight, p.m, p.n, p.k, name_of(kernel));
  }
  return yaml;
}

ProductFile product_file_from(const std::string& yaml, const std::string& origin,
                              const std::string& hint) {
  try {
    return file_in(yaml, origin);
  } catch (const InputError& e) {
    throw InputError(e.what(), e.hint().empty() ? hint : fmt::format("{}; or {}", e.hint(), hint));
  }
}

}  // namespace weft
