#pragma once

namespace kindred {

/// The version that --version prints and files carry.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace kindred
