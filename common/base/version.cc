#include "common/base/version.h"

#include "common/base/text.h"

namespace kindred {

// KINDRED_FEATURES comes from the build: "cuda off, mpi on, faiss on".
std::string version_text(std::string_view program) {
  return concat(program, " ", kVersion, " (", KINDRED_FEATURES, ")");
}

}  // namespace kindred
