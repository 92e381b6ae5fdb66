// JPEG by libjpeg-turbo. Its errors leave by longjmp: the functions that call setjmp hold no C++ objects, so
// that nothing is jumped over.
#include <cstdio>  // jpeglib.h needs FILE; snprintf
// jpeglib.h before jerror.h, which needs its types.
#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>  // free
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/image/codecs.h"
#include "common/image/exif.h"

namespace kindred {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;
// Encoders write about ten scans; every scan of a hostile file costs a walk over all pixels.
constexpr int kMaxScans = 100;

struct JpegErrors : jpeg_error_mgr {
  std::jmp_buf escape;
  char text[JMSG_LENGTH_MAX];
};

[[noreturn]] void escape(j_common_ptr info) {
  auto* errors = static_cast<JpegErrors*>(info->err);
  errors->format_message(info, errors->text);
  std::longjmp(errors->escape, 1);
}

/// libjpeg calls damaged and missing data a warning and paints grey; here it is an error. Harmless oddities
/// pass.
void judge_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
                        code == JWRN_TOO_MUCH_DATA || code == JWRN_BOGUS_PROGRESSION;
  if (level < 0 && !harmless) escape(info);
}

void stop_at_too_many_scans(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  auto* errors = static_cast<JpegErrors*>(info->err);
  std::snprintf(errors->text, sizeof errors->text, "more than %d scans", kMaxScans);
  std::longjmp(errors->escape, 1);
}

void install(JpegErrors& errors) {
  jpeg_std_error(&errors);
  errors.error_exit = escape;
  errors.emit_message = judge_message;
  errors.output_message = [](j_common_ptr) {};
}

struct Decompressor {
  Decompressor() {
    install(errors);
    info.err = &errors;
  }
  ~Decompressor() { jpeg_destroy_decompress(&info); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  jpeg_decompress_struct info{};
  jpeg_progress_mgr progress{};
  JpegErrors errors{};
};

bool read_header(Decompressor& jpeg, const unsigned char* bytes, unsigned long size) {
  if (setjmp(jpeg.errors.escape)) return false;
  jpeg_create_decompress(&jpeg.info);
  jpeg.progress.progress_monitor = stop_at_too_many_scans;
  jpeg.info.progress = &jpeg.progress;
  jpeg_mem_src(&jpeg.info, bytes, size);
  jpeg_save_markers(&jpeg.info, kExifMarker, 0xffff);
  jpeg_read_header(&jpeg.info, TRUE);
  return true;
}

/// Writes rows of info.output_width * info.output_components bytes, one after the other.
bool read_rows(Decompressor& jpeg, unsigned char* out) {
  if (setjmp(jpeg.errors.escape)) return false;
  jpeg_start_decompress(&jpeg.info);
  while (jpeg.info.output_scanline < jpeg.info.output_height) {
    const size_t stride = size_t{jpeg.info.output_width} * static_cast<size_t>(jpeg.info.output_components);
    JSAMPROW row = out + stride * jpeg.info.output_scanline;
    jpeg_read_scanlines(&jpeg.info, &row, 1);
  }
  jpeg_finish_decompress(&jpeg.info);
  return true;
}

int orientation_of(const jpeg_decompress_struct& info) {
  for (auto* marker = info.marker_list; marker != nullptr; marker = marker->next) {
    const std::string_view block(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (marker->marker == kExifMarker && block.starts_with("Exif")) return exif_orientation(block);
  }
  return 1;
}

/// Adobe's files store CMYK inverted (255 is no ink).
void cmyk_to_rgb(const uint8_t* cmyk, bool inverted, uint8_t* rgb, int64_t pixels) {
  const int flip = inverted ? 0 : 255;
  for (int64_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
    for (int c = 0; c < 3; ++c)
      rgb[c] = static_cast<uint8_t>(((cmyk[c] ^ flip) * (cmyk[3] ^ flip) + 127) / 255);
  }
}

/// The largest of 1, 2, 4, 8 that leaves the short side at least `min_short_side` long.
unsigned shrink_factor(unsigned width, unsigned height, int min_short_side) {
  unsigned factor = 1;
  const unsigned short_side = std::min(width, height);
  while (min_short_side > 0 && factor < 8 &&
         short_side / (2 * factor) >= static_cast<unsigned>(min_short_side)) {
    factor *= 2;
  }
  return factor;
}

struct Compressor {
  Compressor() {
    install(errors);
    info.err = &errors;
  }
  ~Compressor() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  jpeg_compress_struct info{};
  JpegErrors errors{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
};

bool write_rows(Compressor& jpeg, const Image& image, int quality) {
  if (setjmp(jpeg.errors.escape)) return false;
  jpeg_create_compress(&jpeg.info);
  jpeg_mem_dest(&jpeg.info, &jpeg.bytes, &jpeg.size);
  jpeg.info.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.info.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.info.input_components = 3;
  jpeg.info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg.info);
  jpeg_set_quality(&jpeg.info, quality, TRUE);
  jpeg_start_compress(&jpeg.info, TRUE);
  while (jpeg.info.next_scanline < jpeg.info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.row(static_cast<int>(jpeg.info.next_scanline)));
    jpeg_write_scanlines(&jpeg.info, &row, 1);
  }
  jpeg_finish_compress(&jpeg.info);
  return true;
}

}  // namespace

Image decode_jpeg(std::string_view bytes, std::string_view name, const DecodeLimits& limits) {
  Decompressor jpeg;
  if (!read_header(jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) {
    fail(name, ": not a readable JPEG picture: ", jpeg.errors.text);
  }
  check_limits(jpeg.info.image_width, jpeg.info.image_height, name, limits);

  const bool cmyk = jpeg.info.jpeg_color_space == JCS_CMYK || jpeg.info.jpeg_color_space == JCS_YCCK;
  jpeg.info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  jpeg.info.scale_num = 1;
  jpeg.info.scale_denom = shrink_factor(jpeg.info.image_width, jpeg.info.image_height, limits.min_short_side);
  jpeg_calc_output_dimensions(&jpeg.info);

  Image image =
      make_image(static_cast<int>(jpeg.info.output_width), static_cast<int>(jpeg.info.output_height));
  const int64_t pixels = int64_t{image.width} * image.height;
  const int orientation = orientation_of(jpeg.info);  // the end of decoding frees the markers
  std::vector<uint8_t> inks(cmyk ? static_cast<size_t>(4 * pixels) : 0);
  if (!read_rows(jpeg, cmyk ? inks.data() : image.pixels.data())) {
    fail(name, ": damaged or incomplete JPEG picture: ", jpeg.errors.text);
  }
  if (cmyk) cmyk_to_rgb(inks.data(), jpeg.info.saw_Adobe_marker, image.pixels.data(), pixels);
  return upright(std::move(image), orientation);
}

std::string encode_jpeg(const Image& image, int quality) {
  KINDRED_ASSERT(image.width >= 1 && image.height >= 1 && quality >= 1 && quality <= 100);
  KINDRED_ASSERT(image.channels == 3);
  Compressor jpeg;
  if (!write_rows(jpeg, image, quality)) {
    fail("cannot write a ", image.width, " x ", image.height, " picture as JPEG: ", jpeg.errors.text);
  }
  return {reinterpret_cast<const char*>(jpeg.bytes), jpeg.size};
}

}  // namespace kindred
