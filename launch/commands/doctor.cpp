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

bool measures(const Arguments& arguments) {
  return arguments.flag("gpu") || arguments.flag("comm");
}

// A device that cannot be used is told after the findings, which say why.
void open_measured_device(const Arguments& arguments) {
  if (!measures(arguments)) return;
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
  print(findings(), arguments, console);
  if (!measures(arguments)) {
    if (arguments.given("device")) agree(*host_communicator(), [&] { arguments.device(); });
    return kDone;
  }

  auto world = host_communicator(&console);
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
                      {.name = "tensor",
                       .kind = Option::Kind::integer,
                       .value = "N",
                       .help = "size of the tensor groups that --comm measures",
                       .fallback = "1",
                       .min = 1,
                       .max = 4096}},
          .example = "weft doctor --gpu\nmpirun -np 8 weft doctor --gpu --comm --tensor 2",
          .distributed = true,
          .before_mpi = open_measured_device,
          .details = "Both measurements together take less than a minute.",
          .run = doctor_command};
}

}  // namespace weft
