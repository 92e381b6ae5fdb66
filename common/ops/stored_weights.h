// Weights as matrix products read them: the parameters themselves in fp32, or a copy rounded to bf16 once for
// every version of them.
#pragma once

#include <type_traits>

#include "common/ops/elementwise.h"

namespace kindred {

template <class T>
class StoredWeights {
 public:
  StoredWeights(Stream& stream, int64_t elements) {
    if (!std::is_same_v<T, float>) rounded_ = make_tensor(stream, {elements}, dtype_of<T>());
  }

  /// `weight`: the parameter, of `version`.
  const T* get(Stream& stream, const Tensor& weight, int64_t version) {
    if constexpr (std::is_same_v<T, float>) {
      return weight.f32();
    } else {
      if (version != version_) {
        const float* const from = weight.f32();
        write_each(stream, rounded_.elements(), rounded_.data<T>(), false,
                   [=] KINDRED_DEV(int64_t i) { return from[i]; });
        version_ = version;
      }
      return rounded_.data<T>();
    }
  }

 private:
  Tensor rounded_;
  int64_t version_ = -1;
};

}  // namespace kindred
