#include "common/base/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/base/error.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

// FIPS 180-2, appendix B.
constexpr const char* kSha256Abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kSha256MillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, AgreesWithThePublishedVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), kSha256Abc);
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')), kSha256MillionA);
}

TEST(Sha256, DoesNotDependOnThePieces) {
  Sha256 hash;
  hash.update("a", 1);
  hash.update("", 0);
  hash.update("bc", 2);
  EXPECT_EQ(hash.hex(), kSha256Abc);
}

TEST(Sha256, ReadsWholeFiles) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "a") << std::string(1'000'000, 'a');
  std::ofstream(folder / "empty");
  EXPECT_EQ(sha256_file(folder / "a"), kSha256MillionA);
  EXPECT_EQ(sha256_file(folder / "empty"), sha256_hex(""));
}

TEST(Sha256, RefusesWhatIsNotAFile) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(sha256_file(folder / "none"), Error);
  EXPECT_THROW(sha256_file(folder.path().string()), Error);
}

TEST(Fnv1a, AgreesWithThePublishedVectors) {  // draft-eastlake-fnv, section 6
  EXPECT_EQ(fnv1a32(""), 0x811c9dc5u);
  EXPECT_EQ(fnv1a32("a"), 0xe40c292cu);
  EXPECT_EQ(fnv1a32("foobar"), 0xbf9cf968u);
  EXPECT_EQ(fnv1a64(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a64("foobar"), 0x85944171f73967e8u);
}

TEST(Crc32c, AgreesWithThePublishedVectors) {  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

}  // namespace
}  // namespace kindred
