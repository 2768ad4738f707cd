// Compiling and running oneDNN's matrix products (v2 API).
#include "core/backend/cpu/onednn.hpp"

#include <string>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "core/base/error.hpp"

namespace weft {

namespace {

using dnnl::memory;

const dnnl::engine& engine() {
  static const auto* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

// A CPU stream runs what it is given at once and keeps nothing: one per thread needs no lock.
dnnl::stream& stream() {
  thread_local dnnl::stream s(engine());
  return s;
}

bool effective_isa_has(dnnl::cpu_isa isa) {
  // Each bit of the value is a set of instructions.
  const auto bits = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto wanted = static_cast<unsigned>(isa);
  return (bits & wanted) == wanted;
}

bool is_of_intel() {
#if defined(__x86_64__)
  return __builtin_cpu_is("intel") != 0;
#else
  return false;
#endif
}

memory::data_type data_type(DType dtype) {
  return dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

memory wrap(const memory::desc& desc, const void* data) {
  return {desc, engine(), const_cast<void*>(data)};
}

// oneDNN reads the number of threads off OpenMP when it compiles a product.
class TeamSize {
 public:
  explicit TeamSize(int threads) : previous_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~TeamSize() { omp_set_num_threads(previous_); }
  TeamSize(const TeamSize&) = delete;
  TeamSize& operator=(const TeamSize&) = delete;

 private:
  int previous_;
};

}  // namespace

bool cpu_has_bf16() {
  static const bool has =
      effective_isa_has(dnnl::cpu_isa::avx512_core_bf16) && (cpu_has_amx() || !is_of_intel());
  return has;
}

bool cpu_has_amx() {
  static const bool has = effective_isa_has(dnnl::cpu_isa::avx512_core_amx);
  return has;
}

bool cpu_has_avx512() {
  static const bool has = effective_isa_has(dnnl::cpu_isa::avx512_core);
  return has;
}

struct Product::Impl {
  memory::desc a, b, bias, c, plain_b, scratch;
  dnnl::matmul matmul;
};

Product::Product(const ProductShape& s) : impl_(std::make_unique<Impl>()) {
  const auto type = data_type(s.dtype);
  impl_->a = {{s.m, s.k}, type, memory::dims{s.a_row, s.a_column}};
  impl_->plain_b = {{s.k, s.n}, type, memory::dims{s.b_row, s.b_column}};
  impl_->c = {{s.m, s.n}, data_type(s.c_dtype), memory::dims{s.c_row, 1}};
  const memory::desc b =
      s.packed_b ? memory::desc({s.k, s.n}, type, memory::format_tag::any) : impl_->plain_b;
  if (s.bias) impl_->bias = {{1, s.n}, type, memory::dims{s.n, 1}};

  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (s.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  try {
    const dnnl::matmul::desc desc = s.bias ? dnnl::matmul::desc(impl_->a, b, impl_->bias, impl_->c)
                                           : dnnl::matmul::desc(impl_->a, b, impl_->c);
    const dnnl::matmul::primitive_desc compiled(desc, attributes, engine());
    impl_->b = compiled.weights_desc();
    impl_->scratch = compiled.scratchpad_desc();
    impl_->matmul = dnnl::matmul(compiled);
  } catch (const dnnl::error& e) {
    throw Error("oneDNN has no product of [" + std::to_string(s.m) + ", " + std::to_string(s.k) +
                "] and [" + std::to_string(s.k) + ", " + std::to_string(s.n) + "] in " +
                std::string(name_of(s.dtype)) + ": " + e.what());
  }
}

Product::~Product() = default;

void Product::run(void* c, const void* a, const void* b, const void* bias, void* scratch) const {
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, wrap(impl_->a, a)},
                                            {DNNL_ARG_WEIGHTS, wrap(impl_->b, b)},
                                            {DNNL_ARG_DST, wrap(impl_->c, c)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, wrap(impl_->bias, bias));
  if (scratch_bytes() > 0) arguments.emplace(DNNL_ARG_SCRATCHPAD, wrap(impl_->scratch, scratch));
  impl_->matmul.execute(stream(), arguments);
}

std::size_t Product::scratch_bytes() const { return impl_->scratch.get_size(); }

std::size_t Product::packed_bytes() const { return impl_->b.get_size(); }

void Product::pack(void* packed, const void* b) const {
  memory from = wrap(impl_->plain_b, b);
  memory to = wrap(impl_->b, packed);
  dnnl::reorder(from, to).execute(stream(), from, to);
}

bool Product::packs_like(const Product& other) const {
  return impl_->b == other.impl_->b && impl_->plain_b == other.impl_->plain_b;
}

std::size_t ProductCache::Hash::operator()(const ProductShape& s) const {
  std::uint64_t hash = 0;
  const auto mix = [&hash](std::int64_t value) {
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 32;
  };
  for (const std::int64_t v : {s.m, s.n, s.k, s.a_row, s.a_column, s.b_row, s.b_column, s.c_row})
    mix(v);
  mix(static_cast<std::int64_t>(s.dtype) << 4 | static_cast<std::int64_t>(s.c_dtype));
  mix(s.threads << 3 | s.accumulate << 2 | s.bias << 1 | static_cast<int>(s.packed_b));
  return hash;
}

std::shared_ptr<const Product> ProductCache::get(const ProductShape& shape) {
  const std::lock_guard lock(mutex_);
  if (const auto it = products_.find(shape); it != products_.end()) return it->second;
  if (products_.size() >= kCapacity) products_.erase(products_.begin());  // any of them
  const TeamSize team(shape.threads);
  auto product = std::make_shared<const Product>(shape);
  return products_.emplace(shape, std::move(product)).first->second;
}

}  // namespace weft
