// PNG by libpng. Its errors leave by longjmp: the functions that call setjmp hold no C++ objects, so that
// nothing is jumped over.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>  // snprintf
#include <cstring>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/image/codecs.h"
#include "common/image/exif.h"

namespace kindred {
namespace {

// Chunks that can unpack to far more than their size and that nothing here reads.
constexpr png_byte kIgnoredChunks[] = "iCCP\0iTXt\0tEXt\0zTXt\0sPLT\0hIST";
constexpr int kIgnoredChunkCount = sizeof kIgnoredChunks / 5;

struct PngReader {
  explicit PngReader(std::string_view source) : bytes(source) {}
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  png_structp png = nullptr;
  png_infop info = nullptr;
  std::string_view bytes;  // not read yet
  std::jmp_buf escape;
  char text[128] = "out of memory";
};

[[noreturn]] void report_error(png_structp png, png_const_charp text) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  std::snprintf(reader->text, sizeof reader->text, "%s", text);
  std::longjmp(reader->escape, 1);
}

void read_bytes(png_structp png, png_bytep out, size_t count) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (reader->bytes.size() < count) png_error(png, "the file ends too early");
  std::memcpy(out, reader->bytes.data(), count);
  reader->bytes.remove_prefix(count);
}

bool read_header(PngReader& reader, const DecodeLimits& limits) {
  if (setjmp(reader.escape)) return false;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, report_error,
                                      [](png_structp, png_const_charp) {});
  if (reader.png == nullptr) return false;
  reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) return false;
  png_set_read_fn(reader.png, &reader, read_bytes);
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, kIgnoredChunks, kIgnoredChunkCount);
  // libpng's own limits lie above 1,000,000 by default: the real check is check_limits, after the header.
  png_set_user_limits(reader.png, static_cast<png_uint_32>(std::max(limits.max_side, 1'000'000)),
                      static_cast<png_uint_32>(std::max(limits.max_side, 1'000'000)));
  png_read_info(reader.png, reader.info);
  return true;
}

/// Asks for 8-bit RGB or, where anything is transparent, 8-bit RGBA.
bool choose_format(PngReader& reader) {
  if (setjmp(reader.escape)) return false;
  png_set_expand(reader.png);    // palette, 1, 2 and 4 bit, and tRNS
  png_set_scale_16(reader.png);  // rounded, not cut
  png_set_gray_to_rgb(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool read_pixels(PngReader& reader, png_bytepp rows) {
  if (setjmp(reader.escape)) return false;
  png_read_image(reader.png, rows);
  png_read_end(reader.png, reader.info);
  return true;
}

int orientation_of(PngReader& reader) {
  png_uint_32 size = 0;
  png_bytep block = nullptr;
  if (png_get_eXIf_1(reader.png, reader.info, &size, &block) == 0) return 1;
  return exif_orientation({reinterpret_cast<const char*>(block), size});
}

}  // namespace

Image decode_png(std::string_view bytes, std::string_view name, const DecodeLimits& limits) {
  PngReader reader(bytes);
  if (!read_header(reader, limits)) fail(name, ": not a readable PNG picture: ", reader.text);
  check_limits(png_get_image_width(reader.png, reader.info), png_get_image_height(reader.png, reader.info),
               name, limits);
  if (!choose_format(reader)) fail(name, ": not a readable PNG picture: ", reader.text);

  Image image = make_image(static_cast<int>(png_get_image_width(reader.png, reader.info)),
                           static_cast<int>(png_get_image_height(reader.png, reader.info)),
                           png_get_channels(reader.png, reader.info));
  KINDRED_ASSERT(png_get_rowbytes(reader.png, reader.info) == image.row_bytes());

  std::vector<png_bytep> rows(static_cast<size_t>(image.height));
  for (int y = 0; y < image.height; ++y) rows[static_cast<size_t>(y)] = image.row(y);
  if (!read_pixels(reader, rows.data())) fail(name, ": damaged or incomplete PNG picture: ", reader.text);
  return upright(std::move(image), orientation_of(reader));
}

std::string encode_png(const Image& image) {
  KINDRED_ASSERT(image.width >= 1 && image.height >= 1 && image.channels >= 1 && image.channels <= 4);
  constexpr png_uint_32 kFormats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = kFormats[image.channels - 1];
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&header, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0) {
    fail("cannot write a ", image.width, " x ", image.height, " picture as PNG: ", header.message);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace kindred
