#include "common/ops/branched_conv.h"

#include "common/ops/affine.h"
#include "common/ops/batch_norm.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"

namespace kindred {
namespace {

/// A branch as it stands in the graph. Null `conv` and `depthwise`: the identity.
struct Candidate {
  const Conv2d* conv = nullptr;
  const DepthwiseConv2d* depthwise = nullptr;
  Window window;  // the identity's has one tap
  ConvBranch branch;

  bool identity() const { return branch.identity; }
};

/// False for what cannot be a branch.
bool read_branch(const Op& op, Candidate& out) {
  out.conv = dynamic_cast<const Conv2d*>(&op);
  out.depthwise = dynamic_cast<const DepthwiseConv2d*>(&op);
  const ConvTail* tail = nullptr;
  if (out.conv != nullptr) {
    out.window = out.conv->window, out.branch.bias = out.conv->bias, tail = &out.conv->tail;
  } else if (out.depthwise != nullptr) {
    out.window = out.depthwise->window, out.branch.bias = out.depthwise->bias, tail = &out.depthwise->tail;
  } else if (const auto* norm = dynamic_cast<const BatchNorm*>(&op)) {
    out.branch.identity = out.branch.batch_norm = true;
    out.branch.eps = norm->eps;
    return norm->epilogue.empty();
  } else {
    return false;
  }
  out.branch.kernel_h = out.window.kernel_h, out.branch.kernel_w = out.window.kernel_w;
  out.branch.batch_norm = tail->batch_norm, out.branch.eps = tail->eps;
  return tail->epilogue.empty();
}

bool same_kind(const Candidate& a, const Candidate& b) {
  if (a.window.stride_h != b.window.stride_h || a.window.stride_w != b.window.stride_w) return false;
  if (a.identity() || b.identity()) return true;
  if (a.depthwise != nullptr || b.depthwise != nullptr)
    return a.depthwise != nullptr && b.depthwise != nullptr;
  return a.conv->groups == b.conv->groups;
}

/// Puts the branch's kernel where it sees the pixels that it saw. False when it would stick out.
bool place(const Window& merged, Candidate& candidate) {
  ConvBranch& branch = candidate.branch;
  branch.first_row = merged.top - candidate.window.top;
  branch.first_column = merged.left - candidate.window.left;
  return branch.first_row >= 0 && branch.first_row + branch.kernel_h <= merged.kernel_h &&
         branch.first_column >= 0 && branch.first_column + branch.kernel_w <= merged.kernel_w;
}

std::shared_ptr<const Op> merged_convolution(const Candidate& largest) {
  if (largest.depthwise != nullptr) {
    auto op = std::make_shared<DepthwiseConv2d>();
    op->window = largest.window;
    op->bias = true;
    return op;
  }
  auto op = std::make_shared<Conv2d>();
  op->outputs = largest.conv->outputs;
  op->window = largest.window;
  op->groups = largest.conv->groups;
  op->bias = true;
  return op;
}

bool has_tail(const Op& conv) {
  const auto* dense = dynamic_cast<const Conv2d*>(&conv);
  const ConvTail& tail = dense != nullptr ? dense->tail : static_cast<const DepthwiseConv2d&>(conv).tail;
  return tail.batch_norm || !tail.epilogue.empty();
}

}  // namespace

std::string BranchedConv::attributes() const {
  return concat("branches=", branches.size(), affine ? " affine " : " ", conv->attributes());
}

std::shared_ptr<const Op> BranchedConv::fused_with(const Op& next, int input) const {
  auto fused = std::make_shared<BranchedConv>(*this);
  if (dynamic_cast<const Affine*>(&next) != nullptr && !affine && !has_tail(*conv)) {
    fused->affine = true;
    return fused;
  }
  fused->conv = conv->fused_with(next, input);
  return fused->conv ? fused : nullptr;
}

Shape BranchedConv::weight_shape(const Shape& images) const {
  if (const auto* dense = dynamic_cast<const Conv2d*>(conv.get())) {
    return {dense->outputs, dense->window.kernel_h, dense->window.kernel_w, images[3] / dense->groups};
  }
  const Window& window = static_cast<const DepthwiseConv2d&>(*conv).window;
  return {window.kernel_h, window.kernel_w, images[3]};
}

std::shared_ptr<const Op> merge_convolutions(std::span<const Op* const> branches) {
  std::vector<Candidate> candidates(branches.size());
  const Candidate* largest = nullptr;
  for (size_t i = 0; i < branches.size(); ++i) {
    Candidate& candidate = candidates[i];
    if (!read_branch(*branches[i], candidate)) return nullptr;
    if (candidate.identity()) continue;
    if (largest == nullptr || candidate.window.taps() > largest->window.taps()) largest = &candidate;
  }
  if (largest == nullptr) return nullptr;

  auto merged = std::make_shared<BranchedConv>();
  for (Candidate& candidate : candidates) {
    if (!same_kind(candidate, *largest) || !place(largest->window, candidate)) return nullptr;
    merged->branches.push_back(candidate.branch);
  }
  merged->conv = merged_convolution(*largest);
  return merged;
}

}  // namespace kindred
