// One demo picture: a glyph, distorted, on a busy ground.
#pragma once

#include "common/base/philox.h"
#include "common/image/image.h"
#include "scripts/make_demo_data/fonts.h"

namespace kindred {

/// How far pictures of one class may differ. Lengths are parts of the picture's side.
struct Distortion {
  double rotation_degrees, shear, stretch;  // each between -this and this; stretch is a logarithm
  double scale_min, scale_max;              // of the glyph's longer side
  double contrast_min;                      // grey levels between ink and ground, of 255
  double texture;                           // grey levels
  double clutter;                           // mean count of strokes behind the glyph
  double blur;                              // greatest standard deviation
  double noise;                             // greatest standard deviation, grey levels

  /// 0: upright black on white; 1: what the demo trains on; beyond: harder.
  static Distortion at(double difficulty);
};

/// size x size pixels; a pure function of its arguments.
Image make_picture(const Glyph& glyph, int size, const Distortion& distortion, Random& random);

}  // namespace kindred
