// oneDNN convolutions, products and reorders behind one face for versions 2.6 to 3.x, whose constructors and
// post-op calls differ. Everything that asks for the version is here.
#pragma once

#include <dnnl.hpp>
#include <initializer_list>
#include <unordered_map>
#include <utility>

#include "common/engine/cpu/dnnl_stream.h"

namespace kindred::onednn {

using Desc = dnnl::memory::desc;
using ForwardDesc = dnnl::convolution_forward::primitive_desc;
using BackwardDataDesc = dnnl::convolution_backward_data::primitive_desc;
using BackwardWeightsDesc = dnnl::convolution_backward_weights::primitive_desc;
using MatmulDesc = dnnl::matmul::primitive_desc;

/// The tensors of a convolution (bias.is_zero() or an empty desc: none) and its window, as oneDNN names them.
struct Convolution {
  Desc source, weights, bias, destination;
  dnnl::memory::dims strides, padding_before, padding_after;
};

constexpr dnnl::algorithm kDirect = dnnl::algorithm::convolution_direct;

#if DNNL_VERSION_MAJOR >= 3
inline ForwardDesc forward_desc(const dnnl::engine& engine, dnnl::prop_kind kind, const Convolution& c,
                                const dnnl::primitive_attr& attr) {
  return {engine,        kind,      kDirect,          c.source,        c.weights, c.bias,
          c.destination, c.strides, c.padding_before, c.padding_after, attr};
}
inline BackwardDataDesc backward_data_desc(const dnnl::engine& engine, const Convolution& c,
                                           const dnnl::primitive_attr& attr, const ForwardDesc& hint) {
  return {engine,    kDirect,          c.source,        c.weights, c.destination,
          c.strides, c.padding_before, c.padding_after, hint,      attr};
}
inline BackwardWeightsDesc backward_weights_desc(const dnnl::engine& engine, const Convolution& c,
                                                 const dnnl::primitive_attr& attr, const ForwardDesc& hint) {
  return {engine,    kDirect,          c.source,        c.weights, c.bias, c.destination,
          c.strides, c.padding_before, c.padding_after, hint,      attr};
}
inline MatmulDesc matmul_desc(const dnnl::engine& engine, const Desc& a, const Desc& b, const Desc& bias,
                              const Desc& c, const dnnl::primitive_attr& attr) {
  return {engine, a, b, bias, c, attr};
}
inline void append_eltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha = 0, float beta = 0) {
  ops.append_eltwise(algorithm, alpha, beta);
}
#else
inline ForwardDesc forward_desc(const dnnl::engine& engine, dnnl::prop_kind kind, const Convolution& c,
                                const dnnl::primitive_attr& attr) {
  return {{kind, kDirect, c.source, c.weights, c.bias, c.destination, c.strides, c.padding_before,
           c.padding_after},
          attr,
          engine};
}
inline BackwardDataDesc backward_data_desc(const dnnl::engine& engine, const Convolution& c,
                                           const dnnl::primitive_attr& attr, const ForwardDesc& hint) {
  return {{kDirect, c.source, c.weights, c.destination, c.strides, c.padding_before, c.padding_after},
          attr,
          engine,
          hint};
}
inline BackwardWeightsDesc backward_weights_desc(const dnnl::engine& engine, const Convolution& c,
                                                 const dnnl::primitive_attr& attr, const ForwardDesc& hint) {
  return {{kDirect, c.source, c.weights, c.bias, c.destination, c.strides, c.padding_before, c.padding_after},
          attr,
          engine,
          hint};
}
inline MatmulDesc matmul_desc(const dnnl::engine& engine, const Desc& a, const Desc& b, const Desc& bias,
                              const Desc& c, const dnnl::primitive_attr& attr) {
  return {{a, b, bias, c}, attr, engine};
}
inline void append_eltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha = 0, float beta = 0) {
  ops.append_eltwise(1, algorithm, alpha, beta);
}
#endif

/// Attributes every primitive here has: its workspace comes from the caller, so that nothing is allocated in
/// a step.
inline dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// A primitive whose arguments are described once; a call gives their addresses.
class Call {
 public:
  Call() = default;
  Call(dnnl::primitive primitive, const dnnl::engine& engine,
       std::initializer_list<std::pair<int, Desc>> arguments)
      : primitive_(std::move(primitive)) {
    for (const auto& [id, desc] : arguments)
      if (desc.get_size() > 0) arguments_.emplace(id, dnnl::memory(desc, engine, nullptr));
  }

  explicit operator bool() const { return static_cast<bool>(primitive_); }

  /// Addresses of arguments that this primitive does not have are passed over.
  void run(dnnl::stream& stream, std::initializer_list<std::pair<int, const void*>> addresses) {
    for (const auto& [id, address] : addresses) {
      const auto found = arguments_.find(id);
      if (found == arguments_.end() || found->second.get_data_handle() == address) continue;
      found->second.set_data_handle(const_cast<void*>(address));
    }
    primitive_.execute(stream, arguments_);
  }

 private:
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace kindred::onednn
