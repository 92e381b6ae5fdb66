#include <gtest/gtest.h>
#include "common/base/text.h"
TEST(Text, ConcatJoinsNumbers) { EXPECT_EQ(kindred::concat("a", 1, 0.5, true), "a10.5true"); }
TEST(Text, NearestNameForgivesATypingError) { std::string k[]={"triplet","arcface"}; EXPECT_EQ(kindred::nearest_name("tripplet", k), "triplet"); }
