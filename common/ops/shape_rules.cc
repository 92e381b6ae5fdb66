#include "common/ops/shape_rules.h"

#include <string>

namespace kindred {

void fail_shapes(std::string_view op, std::string_view expected, std::span<const Shape> inputs) {
  std::string got;
  for (const Shape& shape : inputs) got += concat(got.empty() ? "" : ", ", shape);
  fail(op, " expects ", expected, "; got ", got);
}

void expect_images(std::string_view op, std::span<const Shape> inputs) {
  if (inputs[0].rank() != 4 || inputs[0].elements() <= 0) fail_shapes(op, "images [N,H,W,C]", inputs);
}

void expect_rows(std::string_view op, std::span<const Shape> inputs) {
  if (inputs[0].rank() < 1 || inputs[0].elements() <= 0) fail_shapes(op, "rows [...,C]", inputs);
}

}  // namespace kindred
