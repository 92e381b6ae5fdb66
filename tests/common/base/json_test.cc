#include "common/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kindred {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::string nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
}

void expect_refused(std::string_view text, const std::string& message) {
  EXPECT_THAT([&] { parse_json(text, "body"); }, ThrowsMessage<Error>(HasSubstr(message)))
      << text.substr(0, 80);
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(json_text(parse_json(R"({"b":1,"a":[2,null]})", "body")), R"({"b":1,"a":[2,null]})");
}

TEST(Json, SaysWhereTheSyntaxIsWrong) {
  expect_refused("{\n  \"a\": 1,\n  \"b\" 2\n}", "body:3:7: syntax error");
  expect_refused("", "body:1:0: syntax error");
  expect_refused("{} x", "body:1:4: syntax error");
  expect_refused("\"\xff\"", "body:1:2: syntax error");
}

TEST(Json, BoundsTheNesting) {
  EXPECT_NO_THROW(parse_json(nested(32), "body"));
  expect_refused(nested(33), "body: nested deeper than 32");
  expect_refused(std::string(1 << 20, '['), "body: nested deeper than 32");
  std::string objects;
  for (int i = 0; i < 33; ++i) objects += "{\"a\":";
  expect_refused(objects, "body: nested deeper than 32");
}

TEST(Json, BoundsTheMembersOfAnObject) {
  const auto object = [](int members) {
    std::string text = "{";
    for (int i = 0; i < members; ++i) text += concat(i == 0 ? "\"" : ",\"", i, "\":0");
    return text + "}";
  };
  EXPECT_EQ(parse_json(object(16384), "body").size(), 16384u);
  expect_refused(object(16385), "body: an object has more than 16384 members");
}

TEST(Json, RefusesKeysThatOccurTwice) {
  expect_refused(R"({"a":1,"a":2})", "body: the key 'a' occurs twice");
  expect_refused(R"([{"x":{"a":1,"a":2}}])", "body: the key 'a' occurs twice");
  EXPECT_NO_THROW(parse_json(R"([{"a":{"a":1}},{"a":2}])", "body"));
}

TEST(Json, RefusesNumbersOutOfRange) { expect_refused("[1e999]", "body: number overflow parsing '1e999'"); }

TEST(JsonGet, ReadsTypedMembers) {
  const Json json = parse_json(R"({"b":true,"i":-3,"d":1,"s":"x","v":[1,2],"m":{"k":"v"},"n":null})", "body");
  EXPECT_EQ(json_get<bool>(json, "b", "body"), true);
  EXPECT_EQ(json_get<int>(json, "i", "body"), -3);
  EXPECT_EQ(json_get<double>(json, "d", "body"), 1.0);
  EXPECT_EQ(json_get<std::string>(json, "s", "body"), "x");
  EXPECT_EQ(json_get<std::vector<int64_t>>(json, "v", "body"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ((json_get<std::map<std::string, std::string>>(json, "m", "body").at("k")), "v");
  EXPECT_TRUE(json_get<Json>(json, "n", "body").is_null());
  EXPECT_EQ(json_get_or<int64_t>(json, "i", 5, "body"), -3);
  EXPECT_EQ(json_get_or<int64_t>(json, "absent", 5, "body"), 5);
}

TEST(JsonGet, RefusesValuesThatWouldHaveToBeBent) {
  const Json json =
      parse_json(R"({"half":1.5,"big":18446744073709551615,"minus":-1,"text":"1","yes":true,"list":[1,2.5],
                                   "large":300})",
                 "body");
  const auto refuses = [&]<class T>(std::string_view key, T) {
    EXPECT_THAT(
        [&] { json_get<T>(json, key, "body"); },
        ThrowsMessage<Error>(HasSubstr(concat("body: the key '", key, "' has an unexpected value: "))));
  };
  refuses("half", int64_t{});
  refuses("big", int64_t{});
  refuses("minus", uint64_t{});
  refuses("large", uint8_t{});
  refuses("text", int64_t{});
  refuses("text", double{});
  refuses("yes", int64_t{});
  refuses("minus", bool{});
  refuses("minus", std::string{});
  refuses("list", std::vector<int64_t>{});
  refuses("list", std::map<std::string, double>{});
  EXPECT_EQ(json_get<uint64_t>(json, "big", "body"), 18446744073709551615u);
}

TEST(JsonGet, NamesTheMissingKeyAndTheWrongContainer) {
  EXPECT_THAT([] { json_get<int>(Json::object(), "k", "body"); },
              ThrowsMessage<Error>("body: the key 'k' is missing"));
  EXPECT_THAT([] { json_get<int>(Json::array(), "k", "body"); },
              ThrowsMessage<Error>("body: expected a JSON object, found array"));
}

TEST(JsonText, ReplacesBytesThatAreNotUtf8) { EXPECT_EQ(json_text(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace kindred
