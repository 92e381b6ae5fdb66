#include "common/base/ini.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/error.h"

namespace kindred {
namespace {

using ::testing::ThrowsMessage;

// "line:key=value" of every entry.
std::vector<std::string> entries(std::string_view text) {
  std::vector<std::string> out;
  for (const IniEntry& entry : parse_ini(text, "x.conf"))
    out.push_back(concat(entry.line, ":", entry.key, "=", entry.value));
  return out;
}

using Lines = std::vector<std::string>;

TEST(Ini, JoinsSectionAndKey) {
  EXPECT_EQ(entries("a = 1\n[s]\nb = 2\n[ t.u ]\nc=3"), (Lines{"1:a=1", "3:s.b=2", "5:t.u.c=3"}));
}

TEST(Ini, SkipsCommentsAndEmptyLines) {
  EXPECT_EQ(entries("# x\n; y\n\n  \na = 1 # z\nb = 2\t; z\n[s] # z\nc = # z\n"),
            (Lines{"5:a=1", "6:b=2", "8:s.c="}));
}

TEST(Ini, KeepsCommentSignsInsideWords) {
  EXPECT_EQ(entries("a = #1b#c;d"), Lines{"1:a="});
  EXPECT_EQ(entries("a = b#c;d"), Lines{"1:a=b#c;d"});
}

TEST(Ini, KeepsEqualsSignsAndSpacesInsideValues) {
  EXPECT_EQ(entries("a = b = c  d "), Lines{"1:a=b = c  d"});
}

TEST(Ini, ReadsQuotedValues) {
  EXPECT_EQ(entries(R"(a = " x # \" \\ \n\t\r\0 " # y)"),
            (Lines{"1:a= x # \" \\ \n\t\r" + std::string(1, '\0') + " "}));
}

TEST(Ini, ReadsFilesOfOtherEditors) { EXPECT_EQ(entries("\xEF\xBB\xBF[s]\r\na = 1\r\n"), Lines{"2:s.a=1"}); }

TEST(Ini, ReadsNothingFromNothing) { EXPECT_TRUE(parse_ini("", "x.conf").empty()); }

TEST(Ini, SaysWhatIsWrongAndWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"\na", "x.conf:2: expected 'key = value', found 'a'"},
      {"= 1", "x.conf:1: the key is empty"},
      {"a b = 1", "x.conf:1: 'a b' cannot be a key; use letters, digits, '_', '-' and '.'"},
      {"[s", "x.conf:1: expected '[section]', found '[s'"},
      {"[]", "x.conf:1: the section name is empty"},
      {"[a]b]", "x.conf:1: 'a]b' cannot be a section name; use letters, digits, '_', '-' and '.'"},
      {"a = \"b", "x.conf:1: the closing quote is missing"},
      {"a = \"b\\", "x.conf:1: the closing quote is missing"},
      {"a = \"b\" c", "x.conf:1: expected nothing behind the closing quote, found 'c'"},
      {"a = \"\\q\"", "x.conf:1: unknown escape '\\q' (known: \\n \\r \\t \\0 \\\" \\\\)"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_THAT([&] { parse_ini(text, "x.conf"); }, ThrowsMessage<UsageError>(message));
  }
}

TEST(Ini, QuotesValuesSoThatTheyReadBack) {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  for (const std::string& value :
       {every, std::string(), std::string(" a"), std::string("\""), std::string("a # b"), std::string("\\n"),
        std::string("[s]"), std::string("plain value")}) {
    const auto read = parse_ini("k = " + ini_value_text(value), "x.conf");
    ASSERT_EQ(read.size(), 1u) << value;
    EXPECT_EQ(read[0].value, value);
  }
  EXPECT_EQ(ini_value_text("plain value"), "plain value");
}

}  // namespace
}  // namespace kindred
