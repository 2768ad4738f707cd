// weft doctor: what was built in, found, missing and how to get it; measured rates.
#include <exception>

#include <fmt/format.h>

#include "core/backend/cuda.hpp"
#include "core/base/error.hpp"
#include "core/base/plural.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/console.hpp"
#include "launch/device.hpp"
#include "launch/doctor/table.hpp"
#include "launch/model_dir.hpp"
#include "launch/products/remembered.hpp"
#include "parallel/agree.hpp"

namespace weft {

namespace {

template <class Items>
void print(const Items& items, const Arguments& arguments, const Console& console) {
  if (arguments.json()) {
    for (const auto& item : items) console.result(json_of(item).dump());
  } else {
    for (const std::string& line : lines_of(items)) console.result(line);
  }
}

void blank_line(const Arguments& arguments, const Console& console) {
  if (!arguments.json()) console.result("");
}

void print_odd(const std::vector<OddRank>& odd, const Arguments& arguments,
               const Console& console) {
  for (const OddRank& rank : odd) {
    console.result(arguments.json() ? json_of(rank).dump() : line_of(rank));
  }
  if (odd.empty() && !arguments.json()) console.result("no rank is clearly slower than the others");
}

// Each rank measures, all at the same time; rank 0 prints its own.
void measure_device(Device device, const Arguments& arguments, Communicator& world,
                    const Console& console) {
  if (device.type == DeviceType::cpu) console.info("no GPU is used: these are the CPU's rates");
  std::vector<Rate> rates;
  agree(world, [&] { rates = device_rates(device); });
  blank_line(arguments, console);
  print(rates, arguments, console);
}

void measure_groups(Mesh& mesh, const Arguments& arguments, const Console& console) {
  const std::vector<GroupRate> rates = group_rates(mesh);
  const std::vector<OddRank> odd = odd_ranks(mesh);
  blank_line(arguments, console);
  print(rates, arguments, console);
  print_odd(odd, arguments, console);
}

// The configuration of a run that has these ranks, whose data need not be there.
Config read_run(const Arguments& arguments, int ranks, const Console& console) {
  std::vector<std::string> sets = arguments.all("set");
  if (arguments.precision()) sets.push_back("train.precision=" + arguments.text("precision"));
  Config config = read_config(arguments.text("products"), sets);
  check_precision(config, Device{});
  if (!config.model.from.empty()) {
    config.model.keys_from = resolve_model_dir(config.model.from, console).string();
  }
  resolve_config(config, *load_tokenizer(config.tokenizer), {.ranks = ranks});
  return config;
}

void remember(const std::filesystem::path& path, const ProductFile& measured,
              const Arguments& arguments, const Console& console) {
  const Remembered r = remember_products(path, measured);
  if (!r.unusable.empty()) console.warn(r.unusable + ": the file was replaced");
  if (arguments.json()) {
    console.result(
        Json({{"products_file", path.string()}, {"new", r.measured}, {"kept", r.kept}}).dump());
  } else {
    console.result(fmt::format(
        "\nweft pretrain will begin new runs with this choice on {}, from\n{}\n"
        "{}, {} kept from before; delete that file to forget them.",
        in_words(measured.setting), path.string(), counted(r.measured, "new choice"), r.kept));
  }
}

// Ranks of which some have another choice of kernels would measure beside idle ones, and a run on
// them goes by the rule.
void check_same_cpu(Communicator& world) {
  const std::string first = world.broadcast(this_cpu(), 0);
  agree(world, [&] {
    if (this_cpu() == first) return;
    throw InputError(
        fmt::format("--products: this rank computes on {}, but rank 0 on {}", this_cpu(), first),
        "start it on hosts of one kind, and set DNNL_MAX_CPU_ISA on all ranks alike");
  });
}

// All ranks at the same time, as they compute in training; rank 0 prints and remembers its own.
void measure_products(const Arguments& arguments, std::unique_ptr<Communicator> world,
                      const Console& console) {
  Config config;
  agree(*world, [&] {
    if (arguments.text("device") == "cuda") {
      throw InputError("--products measures the kernels of CPUs, not of --device cuda",
                       "add --device cpu; on GPUs train.time_products has cuBLASLt choose by time");
    }
  });
  agree(*world, [&] { config = read_run(arguments, world->size(), console); });
  check_same_cpu(*world);
  const ProductSetting setting = this_setting(*world);
  const bool is_first = world->rank() == 0;
  std::filesystem::path place;
  agree(*world, [&] {
    if (is_first) place = place_for_products(setting);
  });
  Mesh mesh(std::move(world), static_cast<int>(config.parallel.tensor));
  const std::vector<MeasuredProduct> products = measure_products(config, mesh, console);
  blank_line(arguments, console);
  if (products.empty()) {
    console.warn("nothing to choose: this CPU has one kernel for each product of the run");
  } else {
    if (!arguments.json()) {
      console.result(fmt::format("GFLOP/s of products by each kernel, with {}",
                                 counted(setting.threads, "thread")));
    }
    print(products, arguments, console);
  }
  agree(mesh.world(), [&] {
    if (!is_first || products.empty()) return;
    remember(place, {.setting = setting, .table = table_of(products)}, arguments, console);
  });
}

bool measures_device(const Arguments& arguments) {
  return arguments.flag("gpu") || arguments.flag("comm");
}

// A device that cannot be used is told after the findings, which say why.
void open_measured_device(const Arguments& arguments) {
  if (!measures_device(arguments)) return;
  try {
    open_device(arguments.device());
  } catch (const std::exception&) {
    // Opening it again will fail again, where the ranks agree on errors.
  }
}

int doctor_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  if (arguments.given("tensor") && !arguments.flag("comm")) {
    agree(*host_communicator(), [] {
      throw InputError(
          "--tensor is the size of the groups that --comm measures, and --comm is not given",
          "add --comm, or leave --tensor out");
    });
  }
  if (arguments.given("set") && !arguments.given("products")) {
    agree(*host_communicator(), [] {
      throw InputError(
          "--set sets a key of the configuration of --products, and --products is not given",
          "add --products CONFIG, or leave --set out");
    });
  }
  print(findings(), arguments, console);
  if (!measures_device(arguments) && !arguments.given("products")) {
    if (arguments.given("device")) agree(*host_communicator(), [&] { arguments.device(); });
    return kDone;
  }

  auto world = host_communicator(&console);
  if (arguments.given("products")) measure_products(arguments, world->duplicate(), console);
  if (!measures_device(arguments)) return kDone;
  Device device;
  agree(*world, [&] {
    if (arguments.flag("comm") && world->size() == 1) {
      throw InputError("--comm measures between ranks, and this is the only one",
                       "start several: mpirun -np 2 weft doctor --comm");
    }
    const std::int64_t tensor_ranks = arguments.integer("tensor");
    if (world->size() % tensor_ranks != 0) {
      throw InputError(fmt::format("--tensor {} does not divide {}", tensor_ranks,
                                   counted(world->size(), "rank")));
    }
    device = arguments.device();
    open_device(device);  // unless it is open already
  });
  if (arguments.flag("gpu")) measure_device(device, arguments, *world, console);
  if (arguments.flag("comm")) {
    const auto tensor_ranks = static_cast<int>(arguments.integer("tensor"));
    Mesh mesh(connect_devices(std::move(world), device, console), tensor_ranks, device);
    measure_groups(mesh, arguments, console);
  }
  return kDone;
}

}  // namespace

Command describe_doctor() {
  return {.name = "doctor",
          .summary = "what was built in, found and missing, and how fast it is",
          .options = {{.name = "gpu",
                       .help = "measure products, copies and attention, on a GPU or on the CPU"},
                      {.name = "comm",
                       .help = "under mpirun or srun: measure the exchange between ranks, and name "
                               "slow ones"},
                      {.name = "products",
                       .kind = Option::Kind::text,
                       .value = "CONFIG",
                       .help = "measure the products of a pretraining run by each kernel of the "
                               "CPU, and remember which is fastest"},
                      {.name = "set",
                       .kind = Option::Kind::text,
                       .value = "KEY=VALUE",
                       .help = "set a key of the configuration of --products",
                       .repeated = true},
                      {.name = "tensor",
                       .kind = Option::Kind::integer,
                       .value = "N",
                       .help = "size of the tensor groups that --comm measures",
                       .fallback = "1",
                       .min = 1,
                       .max = 4096}},
          .example =
              "weft doctor --gpu\nmpirun -np 8 weft doctor --gpu --comm --tensor 2\n"
              "weft doctor --products configs/bert-base.yaml",
          .distributed = true,
          .before_mpi = open_measured_device,
          .details =
              "--gpu and --comm together take less than a minute, --products of a BERT-base a "
              "quarter of one. What --products remembers decides for new runs on this CPU, started "
              "with as many threads, and as many ranks to a host; kernels differ in the last bits. "
              "A run keeps its choice when it "
              "resumes.",
          .run = doctor_command};
}

}  // namespace weft
