// Image -> network input, exactly as ImageSpec says.
#pragma once

#include "common/image/image.h"
#include "common/image/image_spec.h"

namespace kindred {

/// PIL semantics: filter support grows when shrinking; colours count by their alpha. Exact to one grey level
/// of Pillow's `resize`.
Image resize(const Image& image, int width, int height, Interpolation interpolation);

/// Part [x, x+width) x [y, y+height). Requires: inside the image.
Image crop(const Image& image, int x, int y, int width, int height);

/// (pixel / 255 - mean) / std as floats. out: [H, W, spec.channels] of the image's own size. Requires: an
/// image of as many channels, here and in preprocess.
void normalize(const Image& image, const ImageSpec& spec, float* out);

/// Resize (and crop) as the spec says. The result is spec.width x spec.height.
Image fit(const Image& image, const ImageSpec& spec);

/// fit + normalize. out: [spec.height, spec.width, spec.channels].
void preprocess(const Image& image, const ImageSpec& spec, float* out);

}  // namespace kindred
