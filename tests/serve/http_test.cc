#include "serve/http.h"

#include <gtest/gtest.h>

#include "serve/base64.h"
#include "serve/problem.h"

namespace kindred {
namespace {

TEST(Target, IsTakenApart) {
  const Target target = parse_target("/v1/search?k=5&name=a%20b+c&flag");
  EXPECT_EQ(target.path, "/v1/search");
  EXPECT_EQ(target.parameters.at("k"), "5");
  EXPECT_EQ(target.parameters.at("name"), "a b c");
  EXPECT_EQ(target.parameters.at("flag"), "");
  EXPECT_TRUE(parse_target("/livez").parameters.empty());
}

TEST(Target, RefusesBrokenEncodingAndRepetition) {
  for (const char* bad : {"/?a=%", "/?a=%4", "/?a=%zz", "/?%f", "/?k=1&k=2"}) {
    EXPECT_THROW(parse_target(bad), Problem) << bad;
  }
}

TEST(ServerUrl, IsTakenApart) {
  const ServerUrl plain = parse_server_url("http://127.0.0.1"),
                  full = parse_server_url("HTTP://host:81/kindred/");
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, "8770");
  EXPECT_EQ(full.host, "host");
  EXPECT_EQ(full.port, "81");
  EXPECT_EQ(full.path, "/kindred");
  EXPECT_EQ(parse_server_url("http://[::1]:9000").host, "::1");
  EXPECT_EQ(parse_server_url("http://[::1]:9000").port, "9000");
}

TEST(ServerUrl, RefusesOtherThings) {
  for (const char* bad : {"", "127.0.0.1:8770", "https://host", "http://", "http://:80",
                          "http://h:", "http://h:x", "http://h:0", "http://h:65536"}) {
    EXPECT_THROW(parse_server_url(bad), Error) << bad;
  }
}

TEST(HeaderParameter, FindsQuotedAndPlainValues) {
  const std::string header = "form-data; name=\"im;age\"; filename=\"a \\\"b\\\".jpg\"; size=3";
  EXPECT_EQ(header_parameter(header, "name"), "im;age");
  EXPECT_EQ(header_parameter(header, "filename"), "a \"b\".jpg");
  EXPECT_EQ(header_parameter(header, "size"), "3");
  EXPECT_EQ(header_parameter(header, "other"), "");
  EXPECT_EQ(header_parameter("form-data", "name"), "");
  EXPECT_EQ(header_parameter("form-data; name=\"open", "name"), "open");
}

TEST(MediaType, IsLowerCaseWithoutParameters) {
  EXPECT_EQ(media_type("Image/JPEG; q=1"), "image/jpeg");
  EXPECT_EQ(media_type(""), "");
}

constexpr const char* kForm = "multipart/form-data; boundary=XX";

TEST(Multipart, GivesItsPartsInOrder) {
  const std::string body =
      "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n"
      "Content-Type: image/png\r\n\r\nbytes\r\n--YY and more\r\n"
      "--XX\r\ncontent-disposition: form-data; name=k\r\n\r\n5\r\n--XX\r\n"
      "Content-Disposition: form-data; name=empty\r\n\r\n\r\n--XX--\r\nepilogue";
  const auto parts = parse_multipart(kForm, body);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].name, "image");
  EXPECT_EQ(parts[0].filename, "a.png");
  EXPECT_EQ(parts[0].content_type, "image/png");
  EXPECT_TRUE(parts[0].content.starts_with("bytes\r\n--YY"));
  EXPECT_EQ(parts[1].name, "k");
  EXPECT_EQ(parts[1].content, "5");
  EXPECT_EQ(parts[2].content, "");
}

TEST(Multipart, RefusesEveryCutOfASoundBody) {
  const std::string body =
      "--XX\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nbytes\r\n"
      "--XX\r\nContent-Disposition: form-data; name=\"k\"\r\n\r\n5\r\n--XX--";
  EXPECT_EQ(parse_multipart(kForm, body).size(), 2u);
  for (size_t length = 0; length < body.size(); ++length) {
    EXPECT_THROW(parse_multipart(kForm, body.substr(0, length)), Problem) << length;
  }
}

TEST(Multipart, RefusesWhatIsNotAForm) {
  const std::string part = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
  EXPECT_THROW(parse_multipart("multipart/form-data", part + "--XX--"), Problem);  // no boundary
  EXPECT_THROW(parse_multipart(concat(kForm, std::string(80, 'X')), part + "--XX--"), Problem);
  EXPECT_THROW(parse_multipart(kForm, "--XX--"), Problem);                          // no parts
  EXPECT_THROW(parse_multipart(kForm, "--XX\r\n\r\n1\r\n--XX--"), Problem);         // no name
  EXPECT_THROW(parse_multipart(kForm, "--XXgarbage\r\n\r\n1\r\n--XX--"), Problem);  // no line end
  std::string many;
  for (int i = 0; i < 300; ++i) many += part;
  EXPECT_THROW(parse_multipart(kForm, many + "--XX--"), Problem);
  const std::string long_header = "--XX\r\nA: " + std::string(10'000, 'b') + "\r\n" + part.substr(6);
  EXPECT_THROW(parse_multipart(kForm, long_header + "--XX--"), Problem);
}

TEST(Base64, GivesBackEveryLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(decode_base64(encode_base64(bytes), "test"), bytes);
    bytes += static_cast<char>(i * 37);
  }
}

TEST(Base64, KnowsTheVectorsOfTheStandard) {
  EXPECT_EQ(encode_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encode_base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(encode_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(decode_base64("Zm9vYg", "test"), "foob");
  EXPECT_EQ(decode_base64("", "test"), "");
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (const char* bad :
       {"A", "AAAAA", "A===", "AA=A", "Zm9v YmFy", "Zm9v\n", "Zm9vYg=", "Zm9vYh==", "Zm-_", "===="}) {
    EXPECT_THROW(decode_base64(bad, "test"), Problem) << bad;
  }
}

TEST(Problem, GoesThroughJsonAndBack) {
  const Problem problem(422, "undecodable-image", "image ", 3, ": not a picture");
  const Problem back = Problem::from_json(problem.to_json(), 500);
  EXPECT_EQ(back.status(), 422);
  EXPECT_EQ(back.type(), "undecodable-image");
  EXPECT_STREQ(back.what(), "image 3: not a picture");
  EXPECT_EQ(problem.to_json()["type"], "urn:kindred:undecodable-image");
  EXPECT_EQ(Problem::from_json(Json::array(), 502).status(), 502);
}

}  // namespace
}  // namespace kindred
