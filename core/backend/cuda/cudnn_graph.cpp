// Computation graphs planned and run by cuDNN, through its backend API.
#include "core/backend/cuda/cudnn_graph.hpp"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "core/backend/cuda/cudnn_descriptor.hpp"

namespace weft {

namespace {

using graph::Function;
using graph::kNone;
using graph::Node;
using graph::Place;
using graph::Type;

cudnnDataType_t data_type(Type type) {
  switch (type) {
    case Type::f32:
      return CUDNN_DATA_FLOAT;
    case Type::bf16:
      return CUDNN_DATA_BFLOAT16;
    case Type::f16:
      return CUDNN_DATA_HALF;
    case Type::i32:
      return CUDNN_DATA_INT32;
    case Type::i64:
      return CUDNN_DATA_INT64;
    case Type::boolean:
      return CUDNN_DATA_BOOLEAN;
  }
  return CUDNN_DATA_FLOAT;
}

cudnnPointwiseMode_t mode_of(Function function) {
  switch (function) {
    case Function::add:
      return CUDNN_POINTWISE_ADD;
    case Function::subtract:
      return CUDNN_POINTWISE_SUB;
    case Function::multiply:
      return CUDNN_POINTWISE_MUL;
    case Function::divide:
      return CUDNN_POINTWISE_DIV;
    case Function::exp:
      return CUDNN_POINTWISE_EXP;
    case Function::log:
      return CUDNN_POINTWISE_LOG;
    case Function::identity:
      return CUDNN_POINTWISE_IDENTITY;
    case Function::less:
      return CUDNN_POINTWISE_CMP_LT;
    case Function::greater_equal:
      return CUDNN_POINTWISE_CMP_GE;
    case Function::logical_and:
      return CUDNN_POINTWISE_LOGICAL_AND;
    case Function::select:
      return CUDNN_POINTWISE_BINARY_SELECT;
    case Function::position:
      return CUDNN_POINTWISE_GEN_INDEX;
  }
  return CUDNN_POINTWISE_IDENTITY;
}

std::string shape_of(const Node& node) {
  std::string text;
  for (const std::int64_t n : node.layout.dims)
    text += (text.empty() ? "[" : ", ") + std::to_string(n);
  return text + "]";
}

// The descriptors of a graph's values and operations.
class Lowering {
 public:
  explicit Lowering(const graph::Graph& graph) : graph_(graph) {
    for (const Node& node : graph.nodes()) values_.push_back(lower(node));
    for (const graph::Operation& operation : graph.operations())
      std::visit([&](const auto& o) { lower(o); }, operation);
  }

  CudnnDescriptor finish(cudnnHandle_t handle) const {
    std::vector<cudnnBackendDescriptor_t> raw;
    for (const CudnnDescriptor& o : operations_) raw.push_back(o.raw());
    CudnnDescriptor all(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "operation graph");
    if (handle != nullptr) all.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    all.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<std::int64_t>(raw.size()), raw.data());
    if (const cudnnStatus_t status = all.try_finalize(); status != CUDNN_STATUS_SUCCESS)
      throw GraphRefused("cuDNN, operation graph: " + cudnn_reason(status));
    return all;
  }

 private:
  static CudnnDescriptor lower(const Node& node) {
    const bool constant = node.place == Place::constant;
    const std::int64_t alignment = constant ? 4 : 16;
    CudnnDescriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR,
                      "tensor " + std::to_string(node.id) + " " + shape_of(node));
    d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, node.id)
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(node.type))
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, node.layout.dims)
        .set(CUDNN_ATTR_TENSOR_STRIDES, node.layout.strides)
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, node.place == Place::inner);
    if (constant) d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
    d.finalize();
    return d;
  }

  void lower(const graph::Pointwise& o) {
    const Type result = graph_.node(o.y).type;
    const bool integral = result == Type::i32 || result == Type::boolean;
    const cudnnPointwiseMode_t mode = mode_of(o.function);
    CudnnDescriptor function(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise");
    function.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode)
        .set(CUDNN_ATTR_POINTWISE_MATH_PREC, data_type(integral ? result : Type::f32));
    if (o.axis != kNone) function.set(CUDNN_ATTR_POINTWISE_AXIS, std::int64_t{o.axis});
    function.finalize();

    CudnnDescriptor& d =
        operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "pointwise", {o.x, o.b});
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, function)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, value(o.x));
    if (o.b != kNone) d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, value(o.b));
    if (o.t != kNone) d.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, value(o.t));
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, value(o.y)).finalize();
  }

  void lower(const graph::Matmul& o) {
    CudnnDescriptor product(CUDNN_BACKEND_MATMUL_DESCRIPTOR, "matmul");
    product.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
    if (o.zero_padding) product.set(CUDNN_ATTR_MATMUL_PADDING_VALUE, 0.0);
    product.finalize();

    CudnnDescriptor& d =
        operation(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, "matmul", {o.a, o.b, o.y});
    d.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, product)
        .set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, value(o.a))
        .set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, value(o.b))
        .set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, value(o.y));
    if (o.rows != kNone) d.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, value(o.rows));
    if (o.columns != kNone)
      d.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, value(o.columns));
    if (o.inner != kNone) d.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, value(o.inner));
    d.finalize();
  }

  void lower(const graph::Reduction& o) {
    const cudnnReduceTensorOp_t kind =
        o.maximum ? CUDNN_REDUCE_TENSOR_MAX : CUDNN_REDUCE_TENSOR_ADD;
    CudnnDescriptor reduction(CUDNN_BACKEND_REDUCTION_DESCRIPTOR, "reduction");
    reduction.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &kind)
        .set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .finalize();
    operation(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, "reduction", {o.x, o.y})
        .set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, reduction)
        .set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, value(o.x))
        .set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, value(o.y))
        .finalize();
  }

  void lower(const graph::Bernoulli& o) {
    const cudnnRngDistribution_t kind = CUDNN_RNG_DISTRIBUTION_BERNOULLI;
    CudnnDescriptor rng(CUDNN_BACKEND_RNG_DESCRIPTOR, "random numbers");
    rng.set(CUDNN_ATTR_RNG_DISTRIBUTION, CUDNN_TYPE_RNG_DISTRIBUTION, 1, &kind)
        .set(CUDNN_ATTR_RNG_BERNOULLI_DIST_PROBABILITY, o.keep)
        .finalize();
    operation(CUDNN_BACKEND_OPERATION_RNG_DESCRIPTOR, "random numbers", {o.y})
        .set(CUDNN_ATTR_OPERATION_RNG_DESC, rng)
        .set(CUDNN_ATTR_OPERATION_RNG_YDESC, value(o.y))
        .set(CUDNN_ATTR_OPERATION_RNG_SEED, value(o.seed))
        .set(CUDNN_ATTR_OPERATION_RNG_OFFSET_DESC, value(o.offset))
        .finalize();
  }

  // The same memory under exchanged strides.
  void lower(const graph::Transpose& o) {
    operation(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, "transpose", {o.x})
        .set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, value(o.x))
        .set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, value(o.y))
        .finalize();
  }

  const CudnnDescriptor& value(int index) const { return values_[static_cast<std::size_t>(index)]; }

  CudnnDescriptor& operation(cudnnBackendDescriptorType_t type, const std::string& name,
                             std::initializer_list<int> operands) {
    std::string what = "operation " + std::to_string(operations_.size()) + ", " + name;
    for (const int x : operands) {
      if (x != kNone) what += " " + shape_of(graph_.node(x));
    }
    return operations_.emplace_back(type, what);
  }

  const graph::Graph& graph_;
  std::vector<CudnnDescriptor> values_, operations_;
};

CudnnDescriptor engine_of(const CudnnDescriptor& configuration) {
  CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine");
  const cudnnBackendDescriptor_t raw = engine.raw();
  configuration.get(CUDNN_ATTR_ENGINECFG_ENGINE, {&raw, 1});
  return engine;
}

// What cuDNN offers for a graph, best first.
std::vector<CudnnDescriptor> configurations(const CudnnDescriptor& heuristics) {
  std::vector<CudnnDescriptor> offered;
  std::vector<cudnnBackendDescriptor_t> raw;
  const std::int64_t count = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, {});
  for (std::int64_t i = 0; i < count; ++i)
    raw.push_back(
        offered.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "engine configuration").raw());
  // What cannot be had after all is missing at the end.
  const std::int64_t filled = count > 0 ? heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, raw) : 0;
  while (std::ssize(offered) > filled) offered.pop_back();
  return offered;
}

}  // namespace

std::size_t cudnn_number() { return cudnnGetVersion(); }

std::string cudnn_version() {
  const std::size_t number = cudnn_number();
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
         std::to_string(number % 100);
}

struct GraphEngine::State {
  cudnnHandle_t handle = nullptr;  // of the current device, or none
  std::optional<CudnnDescriptor> properties = {};

  ~State() {
    if (handle != nullptr) cudnnDestroy(handle);
  }
};

struct GraphPlan::State {
  cudnnHandle_t handle;
  CudnnDescriptor plan;
  std::int64_t engine, workspace;
  std::vector<std::int64_t> constant_ids;
  std::vector<float> constants;
};

GraphEngine::GraphEngine() : state_(std::make_unique<State>()) {
  check_cudnn(cudnnCreate(&state_->handle), "start");
}

GraphEngine::GraphEngine(const std::string& device_properties) : state_(std::make_unique<State>()) {
  CudnnDescriptor& d =
      state_->properties.emplace(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device properties");
  d.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
        static_cast<std::int64_t>(device_properties.size()), device_properties.data())
      .finalize();
}

GraphEngine::~GraphEngine() = default;

std::unique_ptr<GraphPlan> GraphEngine::plan(const graph::Graph& graph) const {
  const cudnnHandle_t handle = state_->handle;
  const Lowering lowering(graph);
  const CudnnDescriptor operations = lowering.finish(handle);
  std::string refusal = "no engine offers to run it";
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "choice of an engine");
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operations)
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (state_->properties) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *state_->properties);
    if (const cudnnStatus_t status = heuristics.try_finalize(); status != CUDNN_STATUS_SUCCESS) {
      refusal = cudnn_reason(status);
      continue;
    }
    for (const CudnnDescriptor& configuration : configurations(heuristics)) {
      CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "execution plan");
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
      if (handle != nullptr)
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
      if (state_->properties) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *state_->properties);
      if (const cudnnStatus_t status = plan.try_finalize(); status != CUDNN_STATUS_SUCCESS) {
        refusal = cudnn_reason(status);
        continue;
      }
      const std::int64_t workspace = plan.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
      auto state = std::make_unique<GraphPlan::State>(
          GraphPlan::State{.handle = handle,
                           .plan = std::move(plan),
                           .engine = engine_of(configuration).get(CUDNN_ATTR_ENGINE_GLOBAL_INDEX),
                           .workspace = workspace});
      for (const Node& node : graph.nodes()) {
        if (node.place != Place::constant) continue;
        state->constant_ids.push_back(node.id);
        state->constants.push_back(node.constant);
      }
      return std::make_unique<GraphPlan>(std::move(state));
    }
  }
  throw GraphRefused("cuDNN " + cudnn_version() + ": " + refusal);
}

GraphPlan::GraphPlan(std::unique_ptr<State> state) : state_(std::move(state)) {}
GraphPlan::~GraphPlan() = default;

std::size_t GraphPlan::workspace_bytes() const {
  return static_cast<std::size_t>(state_->workspace);
}

std::int64_t GraphPlan::engine() const { return state_->engine; }

void GraphPlan::run(std::span<const graph::Binding> memory, void* workspace,
                    cudaStream_t stream) const {
  std::vector<std::int64_t> ids = state_->constant_ids;
  std::vector<void*> pointers;
  for (float& constant : state_->constants) pointers.push_back(&constant);
  for (const graph::Binding& binding : memory) {
    ids.push_back(binding.id);
    pointers.push_back(binding.memory);
  }
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "memory of a plan");
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64,
           static_cast<std::int64_t>(ids.size()), ids.data())
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
           static_cast<std::int64_t>(pointers.size()), pointers.data())
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace)
      .finalize();
  check_cudnn(cudnnSetStream(state_->handle, stream), "stream");
  check_cudnn(cudnnBackendExecute(state_->handle, state_->plan.raw(), pack.raw()), "execution");
}

}  // namespace weft
