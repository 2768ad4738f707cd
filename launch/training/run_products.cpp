// Which kernels multiply in a run.
#include "launch/training/run_products.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "core/backend/cpu/onednn.hpp"
#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "launch/products/remembered.hpp"
#include "launch/training/run_directory.hpp"
#include "parallel/agree.hpp"

namespace weft {

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path, yaml;  // "" when there is no table
  bool own = false;        // of the run's directory
  std::string note;        // why there is none, where that is worth a word
};

const char* hint_for(bool own) {
  return own ? "put back what the run wrote there, or delete it: products then go by the rule, and "
               "the last bits of the run change"
             : kMeasureAgain;
}

void read_own(Source& source, const fs::path& run_dir) {
  const fs::path file = run_dir / kProductsFile;
  if (!path_exists(file)) return;
  source.path = file.string();
  source.yaml = read_file(file);
}

// A cache is no input: what cannot be read there, is damaged or was written by another version of
// Weft is as if it had not been measured, and no reason not to train. A service often has the HOME
// of another user, whose folders it may not look into.
void read_remembered(Source& source, const ProductSetting& setting) {
  const std::optional<fs::path> file = remembered_products(setting);
  try {
    if (!file || !path_exists(*file)) return;
    const std::string yaml = read_file(*file);
    remembered_from(yaml, *file, setting);
    source.path = file->string();
    source.yaml = yaml;
  } catch (const InputError& e) {
    source.note = fmt::format("products: {}: the rule chooses their kernels; {}", e.what(),
                              e.hint().empty() ? kMeasureAgain : e.hint());
  }
}

// On CPUs without AVX-512 there is little to choose.
bool rule_is_a_guess() { return cpu_has_avx512() && !this_product_cpu().zen4; }

}  // namespace

RunProducts::RunProducts(const Config& config, const std::optional<ResumePoint>& point, Mesh& mesh)
    : config_(config), mesh_(mesh) {
  set_product_table({});
  if (mesh.device().type != DeviceType::cpu) return;
  Communicator& world = mesh.world();
  Source source;
  source.own = point && point->own;
  const ProductSetting setting = this_setting(world);
  agree(world, [&] {
    if (world.rank() != 0) return;
    if (source.own) {
      read_own(source, config.run.dir);
    } else {
      read_remembered(source, setting);
    }
  });
  source.path = world.broadcast(source.path, 0);
  source.yaml = world.broadcast(source.yaml, 0);
  note_ = source.note;
  if (note_.empty() && source.path.empty() && !source.own && rule_is_a_guess()) {
    note_ = fmt::format(
        "products: kernels were never compared on a CPU like this one ({}); weft doctor --products "
        "CONFIG does, and new runs begin with what it finds",
        setting.cpu);
  }
  if (source.path.empty()) return;
  ProductFile file;
  agree(world, [&] { file = product_file_from(source.yaml, source.path, hint_for(source.own)); });
  const std::int64_t same = file.setting.cpu == setting.cpu ? 1 : 0;
  if (world.all_reduce(same, ReduceOp::min) == 0) {
    note_ = fmt::format(
        "products: {} was measured on {}, and a rank has another CPU: the rule "
        "chooses their kernels{}",
        source.path, file.setting.cpu,
        source.own ? ", and the last bits are not those of the run so far" : "");
    return;
  }
  if (!source.own) table_to_keep_ = source.yaml;
  note_ = fmt::format("products: {} chooses their kernels, for {} classes of shapes", source.path,
                      file.table.size());
  if (file.setting != setting) {
    note_ += fmt::format("; it was measured with {}, and the run keeps it for the same bits",
                         in_words(file.setting));
  }
  set_product_table(std::move(file.table));
}

void RunProducts::keep() const {
  if (table_to_keep_.empty()) return;
  agree(mesh_.world(), [&] {
    if (mesh_.world().rank() != 0) return;
    write_file_atomic(fs::path(config_.run.dir) / kProductsFile, table_to_keep_);
  });
}

}  // namespace weft
