// EXIF orientation: how a camera was held, and the turn that makes its picture upright.
// Source: CIPA DC-008 (Exif 2.32), tag 0x0112; TIFF 6.0 for the directory around it.
#pragma once

#include <string_view>

#include "common/image/image.h"

namespace kindred {

/// The orientation, 1 to 8, from an EXIF block ("Exif\0\0" in front or not). 1 (upright) when the block holds
/// none or is damaged: a picture is never refused for its EXIF.
int exif_orientation(std::string_view block);

/// The picture turned upright. Orientations 5 to 8 exchange width and height.
Image upright(Image image, int orientation);

}  // namespace kindred
