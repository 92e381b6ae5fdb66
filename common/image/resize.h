// Resampling of pictures; the part that `resize` and `fit` of preprocess.h share.
#pragma once

#include "common/image/image.h"
#include "common/image/image_spec.h"

namespace kindred {

/// Pixels [begin, begin + size) of a line.
struct Window {
  int begin, size;
};

/// The given columns and rows of the picture resized to width x height; nothing outside them is computed, so
/// that a very long picture costs no more than its middle. Requires: windows inside width and height, not
/// empty.
Image resize_window(const Image& image, int width, int height, Window columns, Window rows,
                    Interpolation interpolation);

}  // namespace kindred
