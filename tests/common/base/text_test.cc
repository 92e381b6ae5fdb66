#include "common/base/text.h"

#include <gtest/gtest.h>

#include "common/base/error.h"

namespace kindred {
namespace {

const std::string kNames[] = {"arcface", "triplet", "triplet_angular"};

TEST(Text, ConcatWritesNumbersInTheirShortestForm) {
  EXPECT_EQ(concat("a", 1, ' ', 0.5, ' ', 0.1f, ' ', true, std::string("b")), "a1 0.5 0.1 trueb");
}

TEST(Text, SplitKeepsEmptyPiecesAndWordsDoNot) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_TRUE(split("", ',').empty());
  EXPECT_EQ(split_words("  a \t b\n"), (std::vector<std::string>{"a", "b"}));
}

TEST(Text, NumbersMustFillTheWholeText) {
  EXPECT_EQ(parse_int("-12", "n"), -12);
  EXPECT_EQ(parse_double("2.5e3", "x"), 2500);
  for (const char* wrong : {"", "1x", " 1", "99999999999999999999"})
    EXPECT_THROW(parse_int(wrong, "n"), Error) << wrong;
  for (const char* wrong : {"", "1.5.", "nan", "inf"}) EXPECT_THROW(parse_double(wrong, "x"), Error) << wrong;
}

TEST(Text, NearestNameForgivesATypingErrorAndNoMore) {
  EXPECT_EQ(nearest_name("tripplet", kNames), "triplet");
  EXPECT_EQ(nearest_name("cosine", kNames), "");
}

TEST(Text, AnUnknownNameIsToldWithTheNearestAndAll) {
  EXPECT_EQ(unknown_name_text("loss", "tripplet", kNames),
            "unknown loss 'tripplet'; did you mean 'triplet'? (known: arcface, triplet, triplet_angular)");
}

TEST(Text, QuantitiesReadAsPeopleSayThem) {
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(duration_text(42), "42s");
  EXPECT_EQ(duration_text(185), "3m05s");
  EXPECT_EQ(duration_text(7620), "2h07m");
}

}  // namespace
}  // namespace kindred
