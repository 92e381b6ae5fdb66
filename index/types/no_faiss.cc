// Without FAISS its index types keep their names, and say why they cannot be had.
#if !defined(KINDRED_HAVE_FAISS)
#include "index/vector_index.h"

namespace kindred {
namespace {

bool register_unavailable(const std::string& name) {
  return vector_index_registry().add(
      name,
      [name](int) -> std::unique_ptr<VectorIndex> {
        fail("index type '", name,
             "': this program was built without FAISS; use 'exact', or install libfaiss-dev and "
             "build again");
      },
      "not available: built without FAISS");
}

[[maybe_unused]] const bool registered = register_unavailable("flat") && register_unavailable("hnsw");

}  // namespace
}  // namespace kindred
#endif
