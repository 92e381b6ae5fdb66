#include "common/ops/add.h"

#include "common/ops/branched_conv.h"

namespace kindred {

std::shared_ptr<const Op> Add::merged_with(std::span<const Op* const> branches) const {
  return merge_convolutions(branches);
}

}  // namespace kindred
