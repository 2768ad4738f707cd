// Times products by every kernel that this CPU has for them, in turns, on the shapes of a
// BERT: products --help
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>

#include <fmt/format.h>
#include <omp.h>

#include "benchmarks/arguments.hpp"
#include "benchmarks/usage.hpp"
#include "core/backend/cpu/product_timing.hpp"
#include "core/base/plural.hpp"
#include "launch/failure.hpp"
#include "launch/process.hpp"

namespace {

using namespace weft;

// The fastest turn of each.
void compare(const std::string& name, const ProductCall& call, double seconds) {
  const ProductShape& s = call.shape;
  std::string line = fmt::format("{:<14} {:>6} x {:>5} x {:>5}", name, s.m, s.n, s.k);
  const double work = 2e-9 * static_cast<double>(s.m * s.n * s.k);
  const std::vector<KernelTimes> times = time_product(call, {.seconds = seconds});
  for (const ProductKernel kernel : kProductKernels) {
    const auto t = std::find_if(times.begin(), times.end(),
                                [&](const KernelTimes& x) { return x.kernel == kernel; });
    line += t == times.end() ? fmt::format("{:24}", "")
                             : fmt::format("{:14.1f} ({:.3f})  ", work / t->least(),
                                           times.front().least() / t->least());
  }
  std::puts(line.substr(0, line.find_last_not_of(' ') + 1).c_str());
  std::fflush(stdout);
}

struct Options {
  DType dtype = DType::bf16;
  std::int64_t rows = 1024, hidden = 768;
  double seconds = 0.5;  // for each product
};

Options parse(int argc, char** argv) {
  Options o;
  Words words("products", argc, argv);
  while (words.next()) {
    if (words.word() == "--precision") {
      o.dtype = words.one({"fp32", "bf16"}) == "bf16" ? DType::bf16 : DType::f32;
    } else if (words.word() == "--rows") {
      o.rows = words.whole(1, 1 << 20);
    } else if (words.word() == "--hidden") {
      o.hidden = words.whole(1, 1 << 14);
    } else if (words.word() == "--seconds") {
      o.seconds = words.positive();
    } else {
      words.refuse();
    }
  }
  return o;
}

void run(const Options& o) {
  struct Layer {
    const char* name;
    std::int64_t rows, inputs, outputs;
  };
  std::printf("%s; m x n x k; GFLOP/s (times the rate of oneDNN on plain operands) of\n",
              counted(omp_get_max_threads(), "thread").c_str());
  std::string heading(36, ' ');
  for (const ProductKernel kernel : kProductKernels)
    heading += fmt::format("{:>22}  ", name_of(kernel));
  std::puts(heading.c_str());
  const std::int64_t rows = o.rows, hidden = o.hidden;
  for (const Layer& l :
       {Layer{"out", rows, hidden, hidden}, Layer{"qkv", rows, hidden, 3 * hidden},
        Layer{"up", rows, hidden, 4 * hidden}, Layer{"down", rows, 4 * hidden, hidden},
        Layer{"vocabulary", std::max<std::int64_t>(1, rows * 5 / 32), hidden, 30522}}) {
    const auto call = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
      ProductShape s{.m = m, .n = n, .k = k};
      s.a_row = k;
      s.b_row = n;
      s.c_row = n;
      s.dtype = s.c_dtype = o.dtype;
      s.threads = omp_get_max_threads();
      return ProductCall{.shape = s};
    };
    ProductCall y = call(l.rows, l.outputs, l.inputs);
    y.shape.b_row = 1;
    y.shape.b_column = l.inputs;
    ProductCall dx = call(l.rows, l.inputs, l.outputs);
    y.b_is_weight = dx.b_is_weight = true;
    ProductCall dw = call(l.outputs, l.inputs, l.rows);
    dw.shape.a_row = 1;
    dw.shape.a_column = l.outputs;
    dw.shape.c_dtype = DType::f32;
    compare(l.name, y, o.seconds);
    compare(std::string(l.name) + " dx", dx, o.seconds);
    compare(std::string(l.name) + " dw", dw, o.seconds);
    dw.a_sums = true;
    compare(std::string(l.name) + " dw, sums", dw, o.seconds);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (asks_for_help(argc, argv,
                    "products [--precision fp32|bf16 (bf16)] [--rows N (1024)] [--hidden N (768)]\n"
                    "  [--seconds S (0.5): of each product]\n"
                    "OMP_NUM_THREADS sets the threads; one thread is timed by its processor time"))
    return 0;
  limit_spinning(argv);
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    return end_ranks(e, exit_status_of(e));
  }
}
