// Times products in bf16 by oneDNN and by our own tiles in turns, on the shapes of a BERT:
// products [ROWS (1024)] [HIDDEN (768)] [SECONDS (0.5): of each]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>

#include <omp.h>

#include "core/backend/backend.hpp"
#include "core/backend/cpu/bf16_product.hpp"
#include "core/backend/cpu/bf16_tiles.hpp"
#include "core/backend/transfer.hpp"

namespace {

using namespace weft;

// One thread is timed by the processor time it took, so that a busy machine counts little.
double now() {
  timespec t{};
  clock_gettime(omp_get_max_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

Tensor noise(const Shape& shape) {
  Tensor x(shape, DType::f32), y(shape, DType::bf16);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    x.data<float>()[i] =
        0.04F * (uniform_from(philox_u32({}, static_cast<std::uint64_t>(i))) - 0.5F);
  backend(y).copy(y, x);
  return y;
}

double once(const std::function<void()>& call) {
  const double start = now();
  call();
  return now() - start;
}

// The fastest turn of each.
void compare(const std::string& name, const ProductShape& shape, bool sums, double seconds) {
  const Tensor a = shape.a_column == 1 ? noise({shape.m, shape.k}) : noise({shape.k, shape.m});
  const Tensor b = noise({shape.k, shape.n});
  Tensor c({shape.m, shape.n}, shape.c_dtype), a_sums({shape.m}, DType::f32);
  const Product product(shape);
  const Tensor scratch({static_cast<std::int64_t>(product.scratch_bytes()) + 1}, DType::u8);
  const auto onednn = [&] {
    if (sums) backend(a).sum_rows(a_sums, a);
    product.run(c.raw(), a.raw(), b.raw(), nullptr, scratch.raw());
  };
  const auto own = [&] {
    bf16_product(shape, {.c = c.raw(),
                         .a = a.data<bfloat16>(),
                         .b = b.data<bfloat16>(),
                         .a_sums = sums ? a_sums.data<float>() : nullptr});
  };
  onednn();
  own();
  double best_onednn = 1e30, best_own = 1e30;
  for (const double start = now(); now() - start < seconds;) {
    best_onednn = std::min(best_onednn, once(onednn));
    best_own = std::min(best_own, once(own));
  }
  const double work = 2e-9 * static_cast<double>(shape.m * shape.n * shape.k);
  std::printf("%-14s %6lld x %5lld x %5lld %8.1f %8.1f GFLOP/s %6.3f\n", name.c_str(),
              static_cast<long long>(shape.m), static_cast<long long>(shape.n),
              static_cast<long long>(shape.k), work / best_onednn, work / best_own,
              best_onednn / best_own);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (!cpu_has_bf16_tiles()) {
    std::printf("this CPU has no AVX512_BF16\n");
    return 0;
  }
  const std::int64_t rows = argc > 1 ? std::atoll(argv[1]) : 1024;
  const std::int64_t hidden = argc > 2 ? std::atoll(argv[2]) : 768;
  const double seconds = argc > 3 ? std::atof(argv[3]) : 0.5;
  struct Layer {
    const char* name;
    std::int64_t rows, inputs, outputs;
  };
  std::printf("%d threads; m x n x k, oneDNN, own, ratio\n", omp_get_max_threads());
  for (const Layer& l :
       {Layer{"out", rows, hidden, hidden}, Layer{"qkv", rows, hidden, 3 * hidden},
        Layer{"up", rows, hidden, 4 * hidden}, Layer{"down", rows, 4 * hidden, hidden},
        Layer{"vocabulary", rows * 5 / 32, hidden, 30522}}) {
    ProductShape y{.m = l.rows, .n = l.outputs, .k = l.inputs};
    y.a_row = l.inputs;
    y.b_row = 1;
    y.b_column = l.inputs;
    ProductShape dx{.m = l.rows, .n = l.inputs, .k = l.outputs};
    dx.a_row = l.outputs;
    dx.b_row = l.inputs;
    ProductShape dw{.m = l.outputs, .n = l.inputs, .k = l.rows};
    dw.a_row = 1;
    dw.a_column = l.outputs;
    dw.b_row = l.inputs;
    for (ProductShape* s : {&y, &dx, &dw}) {
      s->c_row = s->n;
      s->dtype = DType::bf16;
      s->c_dtype = s == &dw ? DType::f32 : DType::bf16;
      s->threads = omp_get_max_threads();
    }
    compare(l.name, y, false, seconds);
    compare(std::string(l.name) + " dx", dx, false, seconds);
    compare(std::string(l.name) + " dw", dw, false, seconds);
    compare(std::string(l.name) + " dw, sums", dw, true, seconds);
  }
  return 0;
}
