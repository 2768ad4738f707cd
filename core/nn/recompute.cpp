// Activation recompute.
//
// Source: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016.
#include "core/nn/recompute.hpp"

#include "core/autograd/backward.hpp"

namespace weft {

Var recompute(const std::function<Var(const std::vector<Var>&, Pass&)>& fn,
              const std::vector<Var>& inputs, const std::vector<Var>& params, Pass& pass) {
  if (!pass.recompute) return fn(inputs, pass);

  const Pass start = pass;  // the keys of the first run
  Tensor y;
  {
    const NoGrad no_grad;
    y = fn(inputs, pass).value();
  }
  std::vector<Var> node_inputs = inputs;
  node_inputs.insert(node_inputs.end(), params.begin(), params.end());
  std::vector<Tensor> saved;
  std::vector<bool> wanted;
  for (const Var& input : inputs) {
    saved.push_back(input.value());
    wanted.push_back(input.requires_grad());
  }
  return record("recompute", y, node_inputs,
                [fn, saved, wanted, params, start](const Tensor& dy) -> Grads {
                  std::vector<Var> again;
                  for (std::size_t i = 0; i < saved.size(); ++i)
                    again.emplace_back(saved[i], wanted[i]);
                  Pass pass_again = start;
                  const GradMap grads = backward(fn(again, pass_again), dy);
                  Grads result;
                  for (const Var& v : again)
                    result.push_back(v.requires_grad() ? grads[v] : Tensor{});
                  for (const Var& p : params)
                    result.push_back(p.requires_grad() ? grads[p] : Tensor{});
                  return result;
                });
}

}  // namespace weft
