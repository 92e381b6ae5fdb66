#include "index/vector_index.h"

namespace kindred {

Registry<VectorIndexFactory>& vector_index_registry() {
  static Registry<VectorIndexFactory> registry("index type");
  return registry;
}

IndexChoice choose_index_type(int64_t items, int dim) {
  // An exact scan reads every vector: 200k x 512 floats are 400 MB, about 20 ms a query on one core's memory
  // bus.
  constexpr int64_t kExactFloats = int64_t{200'000} * 512;
  const std::string floats = concat(items, " x ", dim, " numbers");
  if (items * dim <= kExactFloats)
    return {"exact", concat(floats, " are few enough to scan for every query")};
#if defined(KINDRED_HAVE_FAISS)
  return {"hnsw", concat(floats, " are too many to scan for every query")};
#else
  return {"exact", concat(floats, " call for 'hnsw', but this program was built without FAISS")};
#endif
}

}  // namespace kindred
