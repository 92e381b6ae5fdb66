// The version of Kindred, and what it was built with.
#pragma once

#include <string>
#include <string_view>

namespace kindred {

/// The version that --version prints and files carry.
inline constexpr const char* kVersion = "0.1.0";

/// "kindred-train 0.1.0 (cuda off, mpi on, faiss on)"
std::string version_text(std::string_view program);

}  // namespace kindred
