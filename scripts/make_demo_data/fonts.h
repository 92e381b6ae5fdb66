// Glyph outlines from the font files of this machine, by FreeType.
#pragma once

#include <ft2build.h>
#include FT_BBOX_H
#include FT_FREETYPE_H
#include FT_OUTLINE_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kindred {

/// The closed curves of one character in one font. Units of the font, y upwards.
struct Glyph {
  std::vector<FT_Vector> points;
  std::vector<char> tags;       // [points]: on the curve or a control point
  std::vector<short> contours;  // last point of each curve
  int flags = 0;                // how FreeType fills it
  FT_BBox bounds{};

  double width() const { return static_cast<double>(bounds.xMax - bounds.xMin); }
  double height() const { return static_cast<double>(bounds.yMax - bounds.yMin); }
};

class Fonts {
 public:
  /// All faces of all scalable font files below the folders, sorted by path. Throws Error when there are
  /// none.
  explicit Fonts(const std::vector<std::string>& folders);
  ~Fonts();

  int64_t size() const;
  /// Nothing when the font does not have the character, or draws nothing, or draws its "unknown" box.
  std::optional<Glyph> glyph(int64_t font, char32_t character) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// x' = xx * x + xy * y + dx, y' = yx * x + yy * y + dy: font units to pixels, y downwards.
struct Affine {
  double xx, xy, yx, yy, dx, dy;
};

/// How much of each pixel the glyph covers, 0 to 255. [size, size]. Threads: safe.
std::vector<uint8_t> draw(const Glyph& glyph, const Affine& map, int size);

/// Equal for glyphs whose outlines are equal up to shift and scale: the same drawing sold under two names.
uint64_t drawing_hash(const Glyph& glyph);

}  // namespace kindred
