// The parts of kindred-make-demo-data that need no fonts: archives, the output folder, pictures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>  // getpid
#include <zlib.h>

#include <cstdlib>
#include <filesystem>

#include "common/base/error.h"
#include "common/io/file.h"
#include "scripts/make_demo_data/characters.h"
#include "scripts/make_demo_data/output.h"
#include "scripts/make_demo_data/picture.h"
#include "scripts/make_demo_data/zip.h"

namespace kindred {
namespace {

namespace fs = std::filesystem;

class DemoData : public ::testing::Test {
 protected:
  DemoData() : folder_(fs::temp_directory_path() / ("kindred_demo_data_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~DemoData() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  const fs::path folder_;
};

std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i, value >>= 8) out += static_cast<char>(value);
  return out;
}

std::string deflated(const std::string& content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(content.size() + 100, '\0'), in = content;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// A zip archive with one stored and one deflated member.
std::string zip_bytes(const std::string& stored, const std::string& packed) {
  std::string out, directory;
  const auto add = [&](const std::string& name, int method, const std::string& data, size_t size) {
    // From "method" to "name length": the part that header and directory share (time, date and CRC are not
    // read).
    const std::string shared = little_endian(static_cast<uint64_t>(method), 2) + little_endian(0, 8) +
                               little_endian(data.size(), 4) + little_endian(size, 4) +
                               little_endian(name.size(), 2);
    directory += "PK\x01\x02" + little_endian(0, 6) + shared + little_endian(0, 12) +
                 little_endian(out.size(), 4) + name;
    out += "PK\x03\x04" + little_endian(0, 4) + shared + little_endian(0, 2) + name + data;
  };
  add("a/stored.txt", 0, stored, stored.size());
  add("packed.txt", 8, deflated(packed), packed.size());
  const size_t begin = out.size();
  return out + directory + "PK\x05\x06" + little_endian(0, 4) + little_endian(2, 2) + little_endian(2, 2) +
         little_endian(directory.size(), 4) + little_endian(begin, 4) + little_endian(0, 2);
}

TEST_F(DemoData, ZipMembersAreReadInPlace) {
  const std::string text(5000, 'x');
  write_file(path("a.zip"), zip_bytes("hello", text));
  const ZipArchive archive(path("a.zip"));
  ASSERT_EQ(archive.members().size(), 2u);
  EXPECT_EQ(archive.read(archive.members().at("a/stored.txt")), "hello");
  EXPECT_EQ(archive.read(archive.members().at("packed.txt")), text);
}

TEST_F(DemoData, DamagedZipsAreErrorsOrRead) {
  const std::string good = zip_bytes("hello", "some text, some text, some text");
  const auto read_all = [&](const std::string& bytes) {
    write_picture(path("a.zip"), bytes);
    size_t read = 0;
    try {
      const ZipArchive archive(path("a.zip"));
      for (const auto& [name, member] : archive.members()) read += archive.read(member).size();
    } catch (const Error&) {
      return size_t{0};
    }
    return read;
  };
  EXPECT_EQ(read_all(good), 36u);
  for (size_t length = 1; length < good.size(); ++length)
    EXPECT_EQ(read_all(good.substr(0, length)), 0u) << length;
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string damaged = good;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    EXPECT_LE(read_all(damaged), size_t{65} << 20);
  }
}

TEST_F(DemoData, OutputAppearsOnlyWhenCommitted) {
  {
    const OutputFolder abandoned(path("out"), "recipe");
    write_picture(abandoned.working_path() + "/1.jpg", "x");
  }
  EXPECT_FALSE(fs::exists(path("out")));
  EXPECT_FALSE(fs::exists(path("out.partial")));

  OutputFolder output(path("out/"), "recipe");
  write_picture(output.working_path() + "/1.jpg", "x");
  EXPECT_FALSE(fs::exists(path("out")));
  output.commit();
  EXPECT_TRUE(fs::exists(path("out/1.jpg")));
  EXPECT_FALSE(fs::exists(path("out.partial")));
}

TEST_F(DemoData, OutputIsMadeOnceAndNeverOverwritten) {
  OutputFolder(path("out"), "recipe").commit();
  EXPECT_TRUE(OutputFolder(path("out"), "recipe").already_made());
  EXPECT_THROW(OutputFolder(path("out"), "another recipe"), Error);
  fs::create_directories(path("mine"));
  EXPECT_THROW(OutputFolder(path("mine"), "recipe"), Error);
  EXPECT_TRUE(fs::exists(path("mine")));
}

/// A square of 100 units with straight sides.
Glyph square() {
  Glyph glyph;
  glyph.points = {{0, 0}, {0, 100}, {100, 100}, {100, 0}};
  glyph.tags.assign(4, FT_CURVE_TAG_ON);
  glyph.contours = {3};
  glyph.bounds = {0, 0, 100, 100};
  return glyph;
}

TEST_F(DemoData, DrawCoversThePixelsOfTheOutline) {
  // 0.04 pixels per unit, from (2, 3): the square fills x 2..5 and y 3..6 of 8 x 8.
  const std::vector<uint8_t> coverage = draw(square(), {0.04, 0, 0, 0.04, 2, 3}, 8);
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 8; ++x) {
      const bool inside = x >= 2 && x < 6 && y >= 3 && y < 7;
      EXPECT_EQ(coverage[static_cast<size_t>(8 * y + x)], inside ? 255 : 0) << x << ' ' << y;
    }
  }
}

TEST_F(DemoData, DrawingHashIgnoresShiftAndScaleButNotShape) {
  Glyph moved = square(), leaning = square();
  for (FT_Vector& point : moved.points) point = {2 * point.x + 7, 2 * point.y - 30};
  moved.bounds = {7, -30, 207, 170};
  leaning.points[1].x = 20;
  EXPECT_EQ(drawing_hash(moved), drawing_hash(square()));
  EXPECT_NE(drawing_hash(leaning), drawing_hash(square()));
}

TEST_F(DemoData, PicturesAreAFunctionOfTheirDraws) {
  const auto make = [](double difficulty, uint64_t draw) {
    Random random(1, {draw, 0, 0});
    return make_picture(square(), 32, Distortion::at(difficulty), random).pixels;
  };
  EXPECT_EQ(make(1, 5), make(1, 5));
  EXPECT_NE(make(1, 5), make(1, 6));
  EXPECT_EQ(make(0, 5).size(), 32u * 32u * 3u);
  for (const uint8_t level : {make(0, 5)[0], make(0, 5)[1]})
    EXPECT_EQ(level, 255);                       // the ground of difficulty 0
  EXPECT_LE(make(0, 5)[(16 * 32 + 16) * 3], 1);  // its ink
}

TEST_F(DemoData, CharacterNamesShowCodeAndSign) {
  EXPECT_EQ((Character{U'A', {}}.name()), "U+0041-A");
  EXPECT_EQ((Character{U'\u0416', {}}.name()), "U+0416-\xd0\x96");
  EXPECT_EQ((Character{U'\u2200', {}}.name()), "U+2200-\xe2\x88\x80");
}

TEST_F(DemoData, NoTwoCharactersLookAlike) {
  if (!fs::exists("/usr/share/fonts/truetype/dejavu")) GTEST_SKIP() << "the DejaVu fonts are not installed";
  const std::vector<Character> characters = find_characters(Fonts({"/usr/share/fonts/truetype/dejavu"}), 1);
  std::vector<char32_t> codes;
  for (const Character& character : characters) codes.push_back(character.code);
  using ::testing::Contains;
  using ::testing::Not;
  EXPECT_GT(codes.size(), 200u);
  EXPECT_THAT(codes, Contains(U'A'));
  EXPECT_THAT(codes, Not(Contains(U'\u0391')));  // Alpha
  EXPECT_THAT(codes, Not(Contains(U'\u0410')));  // Cyrillic A
  EXPECT_THAT(codes, Not(Contains(U'o')));       // O is there
  EXPECT_THAT(codes, Contains(U'\u0416'));
}

TEST_F(DemoData, FoldersWithoutFontsAreAnError) {
  fs::create_directories(path("empty"));
  write_file(path("broken.ttf"), "no font");
  EXPECT_THROW(Fonts({path("empty")}), Error);
  EXPECT_THROW(Fonts({path("absent")}), Error);
  EXPECT_THROW(Fonts({path("")}), Error);
}

}  // namespace
}  // namespace kindred
