#include "trainer/dist/agreement.h"

#include <string>
#include <vector>

#include "common/base/hash.h"

namespace kindred {

void require_same_on_all_ranks(Stream& stream, Communicator& communicator, std::string_view what,
                               std::string_view text) {
  const Tensor mine(Shape{1}, DType::i64), all(Shape{communicator.size()}, DType::i64);
  *mine.data<int64_t>() = static_cast<int64_t>(fnv1a64(text));
  communicator.all_gather(stream, mine, all);
  stream.wait();
  const int64_t* hashes = all.data<int64_t>();
  std::vector<std::string> different;
  for (int rank = 1; rank < communicator.size(); ++rank) {
    if (hashes[rank] != hashes[0]) different.push_back(std::to_string(rank));
  }
  if (!different.empty()) {
    fail(what, " of rank 0 and of rank ", join(different),
         " differ; start every rank with the same program, command line and files");
  }
}

}  // namespace kindred
