#include "index/thumbnails.h"

#include <algorithm>

#include "common/base/error.h"
#include "common/image/decode.h"
#include "common/image/preprocess.h"

namespace kindred {

namespace {

Image filled(int width, int height, Colour colour) {
  Image image{width, height,
              std::vector<uint8_t>(static_cast<size_t>(width) * static_cast<size_t>(height) * 3)};
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = colour[i % 3];
  return image;
}

// Requires: `part` lies inside `image` at (x, y).
void paste(Image& image, const Image& part, int x, int y) {
  for (int row = 0; row < part.height; ++row)
    std::copy_n(part.row(row), part.width * 3, image.row(y + row) + x * 3);
}

Image crossed_out(int side) {
  Image image = filled(side, side, {150, 150, 150});
  for (int i = 0; i < side; ++i)
    for (const int x : {i, side - 1 - i}) std::fill_n(image.row(i) + x * 3, 3, uint8_t{90});
  return image;
}

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t k) { return k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0u; };
    const unsigned word = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int shift = 18; shift >= 0; shift -= 6) out += kDigits[word >> shift & 63];
  }
  for (size_t missing = (3 - bytes.size() % 3) % 3; missing > 0; --missing) out[out.size() - missing] = '=';
  return out;
}

}  // namespace

Image thumbnail(const std::string& path, int side, Colour background) {
  try {
    const Image image = load_image(path);
    const int longest = std::max(image.width, image.height);
    const auto scaled = [&](int length) {
      return std::max(1, static_cast<int>((int64_t{length} * side + longest / 2) / longest));
    };
    const Image small = resize(image, scaled(image.width), scaled(image.height), Interpolation::bilinear);
    Image out = filled(side, side, background);
    paste(out, small, (side - small.width) / 2, (side - small.height) / 2);
    return out;
  } catch (const Error&) {
    return crossed_out(side);
  }
}

std::string data_uri(const Image& image) {
  return "data:image/jpeg;base64," + base64(encode_jpeg(image, 85));
}

Image retrieval_grid(std::span<const Retrieval> retrievals, int side) {
  constexpr int kFrame = 4, kGap = 8;
  constexpr Colour kPaper{255, 255, 255}, kQuery{70, 78, 92}, kRight{38, 160, 90}, kWrong{214, 57, 57};
  size_t most = 0;
  for (const Retrieval& one : retrievals) most = std::max(most, one.hits.size());
  const int cell = side + 2 * kFrame + kGap;
  // The query's column stands apart from the answers by a wider gap.
  Image grid = filled(cell * static_cast<int>(most + 1) + 3 * kGap,
                      cell * static_cast<int>(retrievals.size()) + kGap, kPaper);
  const auto place = [&](const std::string& path, Colour frame, int column, int row) {
    const int x = kGap + column * cell + (column > 0 ? 2 * kGap : 0), y = kGap + row * cell;
    paste(grid, filled(side + 2 * kFrame, side + 2 * kFrame, frame), x, y);
    paste(grid, thumbnail(path, side, kPaper), x + kFrame, y + kFrame);
  };
  for (int row = 0; row < static_cast<int>(retrievals.size()); ++row) {
    const Retrieval& one = retrievals[static_cast<size_t>(row)];
    place(one.path, kQuery, 0, row);
    for (int i = 0; i < static_cast<int>(one.hits.size()); ++i) {
      const Retrieval::Hit& hit = one.hits[static_cast<size_t>(i)];
      place(hit.path, hit.label == one.label ? kRight : kWrong, i + 1, row);
    }
  }
  return grid;
}

}  // namespace kindred
