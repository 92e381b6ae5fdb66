#include "trainer/dist/shards.h"

#include <algorithm>

namespace kindred {
namespace {

constexpr int64_t kPieceElements = int64_t{1} << 20;

struct Pieces {
  int64_t each, width, rows_at_once;  // rows a rank; elements a row

  Pieces(const Tensor& mine, int ranks)
      : each(mine.shape()[0]),
        width(mine.elements() / mine.shape()[0]),
        rows_at_once(std::clamp<int64_t>(kPieceElements / (width * ranks), 1, each)) {}
};

}  // namespace

std::vector<float> gather_rows(Stream& stream, Communicator& communicator, const Tensor& mine, int64_t rows) {
  const int ranks = communicator.size();
  const Pieces pieces(mine, ranks);
  const auto row_bytes = pieces.width * static_cast<int64_t>(sizeof(float));
  std::vector<float> whole(communicator.rank() == 0 ? static_cast<size_t>(rows * pieces.width) : 0);
  for (int64_t first = 0; first < pieces.each; first += pieces.rows_at_once) {
    const int64_t count = std::min(pieces.rows_at_once, pieces.each - first);
    const Tensor all = make_tensor(stream, {ranks * count, pieces.width});
    communicator.all_gather(stream, mine.slice(first, count), all);
    for (int64_t r = 0; r < ranks && communicator.rank() == 0; ++r) {
      const int64_t row = r * pieces.each + first, wanted = std::clamp<int64_t>(rows - row, 0, count);
      if (wanted > 0)
        stream.copy(whole.data() + row * pieces.width, all.slice(r * count, count).raw(), wanted * row_bytes);
    }
    stream.wait();
  }
  return whole;
}

void scatter_rows(Stream& stream, Communicator& communicator, const std::vector<float>& whole,
                  const Tensor& mine, int64_t rows) {
  const Pieces pieces(mine, communicator.size());
  const auto row_bytes = pieces.width * static_cast<int64_t>(sizeof(float));
  KINDRED_ASSERT(communicator.rank() != 0 || static_cast<int64_t>(whole.size()) == rows * pieces.width);
  const int64_t begin = communicator.rank() * pieces.each, end = std::min(rows, begin + pieces.each);
  stream.zero(mine);
  for (int64_t first = 0; first < rows; first += pieces.rows_at_once) {
    const int64_t count = std::min(pieces.rows_at_once, rows - first);
    const Tensor piece = make_tensor(stream, {count, pieces.width});
    if (communicator.rank() == 0) {
      stream.copy(piece.raw(), whole.data() + first * pieces.width, count * row_bytes);
      stream.wait();
    }
    communicator.broadcast(stream, piece, 0);
    const int64_t from = std::max(begin, first), to = std::min(end, first + count);
    if (from < to) {
      stream.copy(mine.slice(from - begin, to - from).raw(), piece.slice(from - first, to - from).raw(),
                  (to - from) * row_bytes);
    }
    stream.wait();
  }
}

}  // namespace kindred
