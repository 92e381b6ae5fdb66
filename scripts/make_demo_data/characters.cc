#include "scripts/make_demo_data/characters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>  // snprintf
#include <unordered_set>

#include "common/base/parallel.h"

namespace kindred {
namespace {

struct Range {
  char32_t first, last;
};
constexpr Range kCandidates[] = {
    {U'0', U'9'},     {U'A', U'Z'},     {U'a', U'z'},  // Basic Latin
    {0x00a2, 0x00a9}, {0x00ae, 0x00ae}, {0x00b5, 0x00b6},
    {0x00bf, 0x00ff},                                      // Latin-1
    {0x0100, 0x01bf}, {0x01c4, 0x024f},                    // Latin Extended-A and -B
    {0x0386, 0x0386}, {0x0388, 0x03ce}, {0x03d0, 0x03ff},  // Greek
    {0x0400, 0x0481}, {0x048a, 0x04ff},                    // Cyrillic
    {0x2020, 0x2021}, {0x2030, 0x2030}, {0x20a0, 0x20bf},
    {0x2100, 0x214f},  // daggers, currencies, letter-like
    {0x2190, 0x2195}, {0x2200, 0x220f}, {0x221a, 0x221e},
    {0x2260, 0x2265},  // arrows, mathematics
};

// Two characters look alike when the mean cosine of their drawings, cropped to the ink and brought to one
// size, exceeds this. At 0.85 c and C, I and l, O and 0 fall together; O and Q, E and B, n and m stay apart.
constexpr double kAlike = 0.85;
constexpr int kSide = 16;             // of the drawings compared
constexpr size_t kCompared = 24;      // fonts compared
constexpr size_t kLeastCompared = 4;  // fonts that two characters must share to be judged at all

using Drawing =
    std::array<float, kSide * kSide>;  // unit length; all zero when the font has no such character

Drawing normalised(const Glyph& glyph) {
  const double scale = (kSide - 1) / std::max(glyph.width(), glyph.height());
  const double middle_x = static_cast<double>(glyph.bounds.xMin) + 0.5 * glyph.width();
  const double middle_y = static_cast<double>(glyph.bounds.yMin) + 0.5 * glyph.height();
  const Affine map{scale, 0, 0, -scale, 0.5 * kSide - scale * middle_x, 0.5 * kSide + scale * middle_y};
  const std::vector<uint8_t> coverage = draw(glyph, map, kSide);
  Drawing drawing{};
  float squares = 1e-6f;
  for (const uint8_t level : coverage) squares += static_cast<float>(level) * static_cast<float>(level);
  for (size_t i = 0; i < drawing.size(); ++i)
    drawing[i] = static_cast<float>(coverage[i]) / std::sqrt(squares);
  return drawing;
}

/// A character and its drawings in the compared fonts.
struct Look {
  std::vector<Drawing> drawings;  // [compared fonts]
  std::vector<bool> has;          // [compared fonts]
};

bool look_alike(const Look& a, const Look& b) {
  double sum = 0;
  size_t shared = 0;
  for (size_t font = 0; font < a.drawings.size(); ++font) {
    if (!a.has[font] || !b.has[font]) continue;
    float cosine = 0;
    for (size_t i = 0; i < a.drawings[font].size(); ++i) cosine += a.drawings[font][i] * b.drawings[font][i];
    sum += cosine;
    ++shared;
  }
  return shared >= kLeastCompared && sum > kAlike * static_cast<double>(shared);
}

/// The fonts that have most of the candidates.
std::vector<int64_t> widest_fonts(const std::vector<std::vector<std::optional<Glyph>>>& glyphs,
                                  int64_t fonts) {
  std::vector<std::pair<int64_t, int64_t>> ranked;  // (-characters, font)
  for (int64_t font = 0; font < fonts; ++font) {
    int64_t characters = 0;
    for (const auto& of_character : glyphs) characters += of_character[static_cast<size_t>(font)].has_value();
    ranked.emplace_back(-characters, font);
  }
  std::sort(ranked.begin(), ranked.end());
  ranked.resize(std::min(ranked.size(), kCompared));
  std::vector<int64_t> widest;
  for (const auto& [characters, font] : ranked) widest.push_back(font);
  return widest;
}

std::vector<Glyph> distinct_drawings(const std::vector<std::optional<Glyph>>& glyphs) {
  std::vector<Glyph> distinct;
  std::unordered_set<uint64_t> seen;
  for (const std::optional<Glyph>& glyph : glyphs) {
    if (glyph && seen.insert(drawing_hash(*glyph)).second) distinct.push_back(*glyph);
  }
  return distinct;
}

}  // namespace

std::string Character::name() const {
  char text[16];
  std::snprintf(text, sizeof text, "U+%04X-", static_cast<unsigned>(code));
  std::string out = text;
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
  return out;
}

std::vector<Character> find_characters(const Fonts& fonts, size_t least_drawings) {
  std::vector<Character> candidates;
  std::vector<std::vector<std::optional<Glyph>>> glyphs;  // [candidates][fonts]
  for (const auto& [first, last] : kCandidates) {
    for (char32_t code = first; code <= last; ++code) {
      std::vector<std::optional<Glyph>> of_character;
      for (int64_t font = 0; font < fonts.size(); ++font) of_character.push_back(fonts.glyph(font, code));
      std::vector<Glyph> distinct = distinct_drawings(of_character);
      if (distinct.size() < least_drawings) continue;
      candidates.push_back({code, std::move(distinct)});
      glyphs.push_back(std::move(of_character));
    }
  }

  const std::vector<int64_t> compared = widest_fonts(glyphs, fonts.size());
  std::vector<Look> looks(candidates.size());
  parallel_for(static_cast<int64_t>(candidates.size()), [&](int64_t i) {
    for (const int64_t font : compared) {
      const std::optional<Glyph>& glyph = glyphs[static_cast<size_t>(i)][static_cast<size_t>(font)];
      looks[static_cast<size_t>(i)].drawings.push_back(glyph ? normalised(*glyph) : Drawing{});
      looks[static_cast<size_t>(i)].has.push_back(glyph.has_value());
    }
  });

  std::vector<Character> accepted;
  std::vector<size_t> accepted_looks;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const bool repeats = std::any_of(accepted_looks.begin(), accepted_looks.end(),
                                     [&](size_t j) { return look_alike(looks[i], looks[j]); });
    if (repeats) continue;
    accepted.push_back(std::move(candidates[i]));
    accepted_looks.push_back(i);
  }
  return accepted;
}

}  // namespace kindred
