// Small pictures for reports: fitted into a square, the rest left in a background colour.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "common/image/image.h"
#include "index/evaluate.h"

namespace kindred {

using Colour = std::array<uint8_t, 3>;

/// A side x side picture; a grey square with a cross when the file cannot be read: a report must not fail for
/// it.
Image thumbnail(const std::string& path, int side, Colour background);

/// "data:image/jpeg;base64,..."
std::string data_uri(const Image& image);

/// Queries in the first column, their nearest pictures to the right, in frames: green when of the query's
/// label, red when not. For READMEs and reports without a browser.
Image retrieval_grid(std::span<const Retrieval> retrievals, int side);

}  // namespace kindred
