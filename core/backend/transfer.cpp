// Tensors between host and device.
#include "core/backend/transfer.hpp"

namespace weft {

Tensor to_device(const Tensor& x, Device device) {
  if (!x || x.device() == device) return x;
  if (device.type == DeviceType::cpu) return to_host(x);
  Tensor y(x.shape(), x.dtype(), device);
  backend(device).upload(y, x);
  return y;
}

Tensor to_host(const Tensor& x) { return to_host(std::vector<Tensor>{x}).front(); }

std::vector<Tensor> to_host(const std::vector<Tensor>& xs) {
  std::vector<Tensor> hosts = xs;
  std::vector<Tensor> from, to;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (!xs[i] || xs[i].device().type == DeviceType::cpu) continue;
    from.push_back(xs[i]);
    to.emplace_back(xs[i].shape(), xs[i].dtype());
    places.push_back(i);
  }
  if (from.empty()) return hosts;
  backend(from.front()).download(to, from);
  for (std::size_t k = 0; k < places.size(); ++k) hosts[places[k]] = to[k];
  return hosts;
}

Tensor squared_norms_on_device(const std::vector<Tensor>& xs) {
  if (xs.empty()) return {};
  Tensor sums({static_cast<std::int64_t>(xs.size())}, DType::f64, xs.front().device());
  backend(sums).squared_norms(sums, xs);
  return sums;
}

std::vector<double> squared_norms(const std::vector<Tensor>& xs) {
  if (xs.empty()) return {};
  const Tensor host = to_host(squared_norms_on_device(xs));
  return {host.data<double>(), host.data<double>() + host.numel()};
}

}  // namespace weft
