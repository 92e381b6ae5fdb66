// Which characters become classes: drawn by enough fonts, and no two that a reader would take for one
// another.
#pragma once

#include <string>
#include <vector>

#include "scripts/make_demo_data/fonts.h"

namespace kindred {

struct Character {
  char32_t code = 0;
  std::vector<Glyph> drawings;  // of different fonts, no two the same

  /// "U+0416-Ж": a folder name that sorts and reads well.
  std::string name() const;
};

/// Characters of Latin, Greek and Cyrillic and some symbols with at least `least_drawings` drawings. Of those
/// that look alike in most fonts up to shift and size (A in three scripts, o and O and 0, I and l) only the
/// first is there.
std::vector<Character> find_characters(const Fonts& fonts, size_t least_drawings);

}  // namespace kindred
