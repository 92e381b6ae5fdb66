#include "scripts/make_demo_data/fonts.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>

#include "common/base/error.h"
#include "common/base/hash.h"

namespace kindred {
namespace {

namespace fs = std::filesystem;

bool is_font(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".ttf" || extension == ".otf" || extension == ".ttc" || extension == ".TTF" ||
         extension == ".OTF";
}

std::vector<std::string> font_files(const std::vector<std::string>& folders) {
  std::vector<std::string> files;
  for (const std::string& folder : folders) {
    std::error_code error;
    fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, error);
    if (error) fail(folder, ": cannot look for fonts here: ", error.message());
    for (const fs::directory_entry& file : entry) {
      if (file.is_regular_file() && is_font(file.path())) files.push_back(file.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// FreeType's renderer belongs to one thread.
FT_Library thread_library() {
  struct Owner {
    FT_Library library = nullptr;
    Owner() {
      if (FT_Init_FreeType(&library) != 0) fail("FreeType cannot be started");
    }
    ~Owner() { FT_Done_FreeType(library); }
  };
  thread_local const Owner owner;
  return owner.library;
}

std::optional<Glyph> load_outline(FT_Face face, FT_UInt index) {
  if (FT_Load_Glyph(face, index, FT_LOAD_NO_SCALE | FT_LOAD_NO_BITMAP) != 0) return std::nullopt;
  FT_Outline& outline = face->glyph->outline;
  if (face->glyph->format != FT_GLYPH_FORMAT_OUTLINE || outline.n_points < 3) return std::nullopt;
  Glyph glyph;
  glyph.points.assign(outline.points, outline.points + outline.n_points);
  glyph.tags.assign(outline.tags, outline.tags + outline.n_points);
  glyph.contours.assign(outline.contours, outline.contours + outline.n_contours);
  glyph.flags = outline.flags;
  if (FT_Outline_Get_BBox(&outline, &glyph.bounds) != 0) return std::nullopt;
  if (glyph.width() <= 0 || glyph.height() <= 0) return std::nullopt;
  return glyph;
}

bool same_points(const Glyph& a, const Glyph& b) {
  return std::equal(a.points.begin(), a.points.end(), b.points.begin(), b.points.end(),
                    [](const FT_Vector& p, const FT_Vector& q) { return p.x == q.x && p.y == q.y; });
}

}  // namespace

struct Fonts::Impl {
  struct Face {
    FT_Face face;
    std::optional<Glyph> unknown;  // what the font draws for characters it does not have
  };

  ~Impl() {
    for (const Face& face : faces) FT_Done_Face(face.face);
    FT_Done_FreeType(library);
  }

  void open(const std::string& path) {
    for (FT_Long index = 0, count = 1; index < count; ++index) {
      FT_Face face;
      if (FT_New_Face(library, path.c_str(), index, &face) != 0) return;  // a damaged font is no font
      count = face->num_faces;
      if (FT_IS_SCALABLE(face) && FT_Select_Charmap(face, FT_ENCODING_UNICODE) == 0) {
        faces.push_back({face, load_outline(face, 0)});
      } else {
        FT_Done_Face(face);
      }
    }
  }

  FT_Library library = nullptr;
  std::vector<Face> faces;
};

Fonts::Fonts(const std::vector<std::string>& folders) : impl_(std::make_unique<Impl>()) {
  if (FT_Init_FreeType(&impl_->library) != 0) fail("FreeType cannot be started");
  for (const std::string& path : font_files(folders)) impl_->open(path);
  if (impl_->faces.empty()) {
    fail(join(folders), ": no scalable fonts found; install those of scripts/demo_packages.txt");
  }
}

Fonts::~Fonts() = default;

int64_t Fonts::size() const { return static_cast<int64_t>(impl_->faces.size()); }

std::optional<Glyph> Fonts::glyph(int64_t font, char32_t character) const {
  const Impl::Face& face = impl_->faces[static_cast<size_t>(font)];
  const FT_UInt index = FT_Get_Char_Index(face.face, character);
  if (index == 0) return std::nullopt;
  std::optional<Glyph> glyph = load_outline(face.face, index);
  if (glyph && face.unknown && same_points(*glyph, *face.unknown)) return std::nullopt;
  return glyph;
}

std::vector<uint8_t> draw(const Glyph& glyph, const Affine& map, int size) {
  constexpr double kUnitsPerPixel = 64;  // FreeType rasters 26.6 fixed point, y upwards
  std::vector<FT_Vector> points(glyph.points.size());
  for (size_t i = 0; i < points.size(); ++i) {
    const auto x = static_cast<double>(glyph.points[i].x), y = static_cast<double>(glyph.points[i].y);
    points[i].x = std::lround(kUnitsPerPixel * (map.xx * x + map.xy * y + map.dx));
    points[i].y = std::lround(kUnitsPerPixel * (size - (map.yx * x + map.yy * y + map.dy)));
  }
  FT_Outline outline{};
  outline.n_points = static_cast<short>(points.size());
  outline.n_contours = static_cast<short>(glyph.contours.size());
  outline.points = points.data();
  outline.tags = const_cast<char*>(glyph.tags.data());
  outline.contours = const_cast<short*>(glyph.contours.data());
  outline.flags = glyph.flags;

  std::vector<uint8_t> coverage(static_cast<size_t>(size) * static_cast<size_t>(size));
  FT_Bitmap bitmap{};
  bitmap.width = bitmap.rows = static_cast<unsigned>(size);
  bitmap.pitch = size;
  bitmap.buffer = coverage.data();
  bitmap.num_grays = 256;
  bitmap.pixel_mode = FT_PIXEL_MODE_GRAY;
  if (FT_Outline_Get_Bitmap(thread_library(), &outline, &bitmap) != 0)
    fail("FreeType cannot draw an outline");
  return coverage;
}

uint64_t drawing_hash(const Glyph& glyph) {
  constexpr double kSteps = 200;  // coarse enough for rounding to other units per em
  const double scale = kSteps / std::max(glyph.width(), glyph.height());
  std::string key;
  for (const FT_Vector& point : glyph.points) {
    key += concat(std::lround(scale * static_cast<double>(point.x - glyph.bounds.xMin)), ',',
                  std::lround(scale * static_cast<double>(point.y - glyph.bounds.yMin)), ' ');
  }
  return fnv1a64(key);
}

}  // namespace kindred
