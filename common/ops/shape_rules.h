// What the shape rules of several ops share: how they refuse.
#pragma once

#include <span>
#include <string_view>

#include "common/base/tensor.h"

namespace kindred {

/// Throws Error "conv2d expects EXPECTED; got [8,14,14,250], [64]".
[[noreturn]] void fail_shapes(std::string_view op, std::string_view expected, std::span<const Shape> inputs);

/// Throws Error unless the first input is an image batch [N,H,W,C] with no empty dimension.
void expect_images(std::string_view op, std::span<const Shape> inputs);

/// Throws Error unless the first input has at least one dimension and no empty one.
void expect_rows(std::string_view op, std::span<const Shape> inputs);

}  // namespace kindred
