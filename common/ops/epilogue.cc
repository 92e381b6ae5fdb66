#include "common/ops/epilogue.h"

namespace kindred {

std::string Epilogue::text() const {
  std::string text(activation_text(activation));
  for (const auto& [present, word] : {std::pair(affine, "affine"), std::pair(residual, "residual")})
    if (present) text += concat(text.empty() ? "" : " ", word);
  return text;
}

}  // namespace kindred
