#include "trainer/dist/reducer.h"

#include <algorithm>

namespace kindred {

GradientReducer::GradientReducer(const ParameterSet& parameters, Communicator& communicator, Stream& stream,
                                 int64_t bucket_bytes)
    : gradients_(parameters.gradients()),
      communicator_(communicator),
      stream_(stream),
      bucket_(std::max<int64_t>(1, bucket_bytes / dtype_bytes(DType::f32))) {}

void GradientReducer::ready(int64_t final_elements) {
  KINDRED_ASSERT(final_elements <= gradients_.elements());
  reduce_to(final_elements - final_elements % bucket_);
}

void GradientReducer::reduce_to(int64_t end) {
  for (; reduced_ < end; reduced_ = std::min(reduced_ + bucket_, end)) {
    communicator_.all_reduce(stream_, gradients_.slice(reduced_, std::min(bucket_, end - reduced_)));
  }
}

}  // namespace kindred
