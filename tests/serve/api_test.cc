#include "serve/api.h"

#include <gtest/gtest.h>

#include "serve/base64.h"

namespace kindred {
namespace {

HttpRequest json_request(const std::string& body) {
  return {"POST", "/v1/search", "application/json", "", body};
}

/// "422 threshold-out-of-range", or "" when the request is accepted.
std::string refusal(const HttpRequest& request) {
  try {
    parse_search_request(request, ApiLimits{});
  } catch (const Problem& problem) {
    return concat(problem.status(), " ", problem.type());
  }
  return "";
}

TEST(SearchRequest, ReadsEveryKindOfQuery) {
  const float floats[] = {0.5f, -2.0f};
  const std::string bytes(reinterpret_cast<const char*>(floats), sizeof floats);
  const SearchRequest request = parse_search_request(
      json_request(
          concat(R"({"k": 3, "threshold": {"target_fpr": 0.01}, "timeout_ms": 500, "gallery": "default",
                              "queries": [{"image": {"base64": "QUJD", "content_type": "image/png"}},
                                          {"vector": [1, 0.25, -3e-2]}, {"vector": {"f32_base64": ")",
                 encode_base64(bytes), R"("}}, {"id": "sku-17"}]})")),
      ApiLimits{});
  EXPECT_EQ(request.k, 3);
  EXPECT_EQ(request.timeout_ms, 500);
  EXPECT_EQ(std::get<TargetFpr>(request.threshold).fpr, 0.01);
  ASSERT_EQ(request.queries.size(), 4u);
  EXPECT_EQ(std::get<ImageQuery>(request.queries[0]).bytes, "ABC");
  EXPECT_EQ(std::get<VectorQuery>(request.queries[1]).vector, (std::vector<float>{1, 0.25f, -0.03f}));
  EXPECT_EQ(std::get<VectorQuery>(request.queries[2]).vector, (std::vector<float>{0.5f, -2}));
  EXPECT_EQ(std::get<IdQuery>(request.queries[3]).id, "sku-17");
}

TEST(SearchRequest, ReadsThresholds) {
  const auto threshold = [](const std::string& text) {
    return parse_search_request(json_request(R"({"queries":[{"id":"a"}],"threshold":)" + text + "}"), {})
        .threshold;
  };
  EXPECT_EQ(std::get<double>(threshold("0.75")), 0.75);
  EXPECT_EQ(std::get<double>(threshold("-1")), -1);
  EXPECT_TRUE(std::holds_alternative<NoThreshold>(threshold("\"none\"")));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(
      parse_search_request(json_request(R"({"queries":[{"id":"a"}]})"), {}).threshold));
}

TEST(SearchRequest, ReadsAnImageWithParameters) {
  const SearchRequest request = parse_search_request(
      {"POST", "/v1/search?k=7&threshold=0.5&timeout_ms=9", "image/jpeg", "", "bytes"}, {});
  EXPECT_EQ(request.k, 7);
  EXPECT_EQ(request.timeout_ms, 9);
  EXPECT_EQ(std::get<double>(request.threshold), 0.5);
  EXPECT_EQ(std::get<ImageQuery>(request.queries.at(0)).bytes, "bytes");
}

TEST(SearchRequest, ReadsAForm) {
  const std::string body =
      "--b\r\nContent-Disposition: form-data; name=image\r\n\r\none\r\n"
      "--b\r\nContent-Disposition: form-data; name=image\r\n\r\ntwo\r\n"
      "--b\r\nContent-Disposition: form-data; name=target_fpr\r\n\r\n1e-3\r\n--b--";
  const SearchRequest request =
      parse_search_request({"POST", "/v1/search", "multipart/form-data; boundary=b", "", body}, {});
  ASSERT_EQ(request.queries.size(), 2u);
  EXPECT_EQ(std::get<ImageQuery>(request.queries[1]).bytes, "two");
  EXPECT_EQ(std::get<TargetFpr>(request.threshold).fpr, 1e-3);
}

TEST(SearchRequest, RefusesBadJsonWithItsStatus) {
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  std::string many = R"({"queries":[)";
  for (int i = 0; i < 65; ++i) many += concat(i ? "," : "", R"({"id":"a"})");
  const std::pair<std::string, std::string> cases[] = {
      {"", "400 empty-body"},
      {"{", "400 malformed-json"},
      {"[]", "400 malformed-json"},
      {R"({"queries":[{"id":"a"}]} trailing)", "400 malformed-json"},
      {R"({"queries":)" + deep + "}", "400 malformed-json"},
      {R"({"queries":[{"id":"a"}],"queries":[]})", "400 malformed-json"},
      {R"({"queries":[{"vector":[1e999]}]})", "400 malformed-json"},
      {R"({"queries":[{"vector":[NaN]}]})", "400 malformed-json"},
      {"{\"queries\":[{\"id\":\"\xff\"}]}", "400 malformed-json"},
      {"{}", "400 malformed-json"},
      {R"({"queries":[]})", "400 malformed-json"},
      {R"({"queries":{}})", "400 malformed-json"},
      {R"({"queries":[{}]})", "400 malformed-json"},
      {R"({"queries":["a"]})", "400 malformed-json"},
      {R"({"queries":[{"id":"a","vector":[1]}]})", "400 malformed-json"},
      {R"({"queries":[{"id":7}]})", "400 malformed-json"},
      {R"({"queries":[{"vector":["1"]}]})", "400 malformed-json"},
      {R"({"queries":[{"vector":7}]})", "400 malformed-json"},
      {R"({"queries":[{"image":"QUJD"}]})", "400 malformed-json"},
      {R"({"queries":[{"image":{"base64":"!"}}]})", "400 bad-base64"},
      {R"({"queries":[{"vector":{"f32_base64":"QUJD"}}]})", "422 dimension-mismatch"},
      {R"({"queries":[{"id":"a"}],"kk":5})", "400 unknown-key"},
      {R"({"queries":[{"path":"/etc/passwd"}]})", "400 unknown-key"},
      {R"({"queries":[{"id":"a"}],"k":0})", "422 k-out-of-range"},
      {R"({"queries":[{"id":"a"}],"k":1001})", "422 k-out-of-range"},
      {R"({"queries":[{"id":"a"}],"k":1.5})", "400 malformed-json"},
      {R"({"queries":[{"id":"a"}],"threshold":1.5})", "422 threshold-out-of-range"},
      {R"({"queries":[{"id":"a"}],"threshold":"high"})", "400 malformed-json"},
      {R"({"queries":[{"id":"a"}],"threshold":{"target_fpr":0}})", "422 threshold-out-of-range"},
      {R"({"queries":[{"id":"a"}],"timeout_ms":0})", "422 timeout-out-of-range"},
      {R"({"queries":[{"id":"a"}],"timeout_ms":99999999})", "422 timeout-out-of-range"},
      {R"({"queries":[{"id":"a"}],"gallery":"other"})", "404 gallery-not-found"},
      {many + "]}", "413 too-many-queries"},
  };
  for (const auto& [body, expected] : cases)
    EXPECT_EQ(refusal(json_request(body)), expected) << body.substr(0, 100);
}

TEST(SearchRequest, RefusesOtherBodiesWithTheirStatus) {
  const std::string form = "multipart/form-data; boundary=b";
  const std::string field = "--b\r\nContent-Disposition: form-data; name=k\r\n\r\n5\r\n--b--";
  EXPECT_EQ(refusal({"POST", "/v1/search", "", "", "x"}), "415 unsupported-media-type");
  EXPECT_EQ(refusal({"POST", "/v1/search", "application/x-www-form-urlencoded", "", "x"}),
            "415 unsupported-media-type");
  EXPECT_EQ(refusal({"POST", "/v1/search", "image/png", "", ""}), "400 empty-body");
  EXPECT_EQ(refusal({"POST", "/v1/search", form, "", "nonsense"}), "400 bad-multipart");
  EXPECT_EQ(refusal({"POST", "/v1/search", form, "", field}), "400 bad-multipart");  // no image
  EXPECT_EQ(refusal({"POST", "/v1/search?k=x", "image/png", "", "x"}), "400 bad-parameter");
  EXPECT_EQ(refusal({"POST", "/v1/search?kk=1", "image/png", "", "x"}), "400 bad-parameter");
  EXPECT_EQ(refusal({"POST", "/v1/search?k=-1", "image/png", "", "x"}), "422 k-out-of-range");
  EXPECT_EQ(refusal({"POST", "/v1/search?threshold=0.5&target_fpr=0.1", "image/png", "", "x"}),
            "400 bad-parameter");
  EXPECT_EQ(refusal({"POST", "/v1/search?threshold=nan", "image/png", "", "x"}), "400 bad-parameter");
  EXPECT_EQ(refusal({"POST", "/v1/search?k=1", "application/json", "", R"({"queries":[{"id":"a"}]})"}),
            "400 bad-parameter");
}

TEST(EmbedRequest, ReadsJsonAndImages) {
  const EmbedRequest json = parse_embed_request(
      {"POST", "/v1/embed", "application/json", "", R"({"images":[{"base64":"QUJD"},{"base64":"REVG"}]})"},
      {});
  EXPECT_EQ(json.images, (std::vector<std::string>{"ABC", "DEF"}));
  EXPECT_EQ(parse_embed_request({"POST", "/v1/embed", "image/webp", "", "bytes"}, {}).images.at(0), "bytes");
  EXPECT_THROW(parse_embed_request({"POST", "/v1/embed", "application/json", "", R"({"queries":[]})"}, {}),
               Problem);
}

TEST(SearchResponse, GoesThroughJsonAndBack) {
  SearchResponse response;
  response.model_id = "3f9a12";
  response.threshold = AppliedThreshold{0.75, CalibratedThreshold{1e-2, 0.75, 0.0098, 0.9, 98, 500, 10000}};
  const GalleryHit hit{{"a", "/a.png", "caf\xc3\xa9", Json{{"price", 3}}, ""}, 0.8125f};
  response.results.resize(3);
  response.results[0].decision = Decision::match;
  response.results[0].hits = {hit, hit};
  response.results[1].decision = Decision::unknown;
  response.results[1].best_below_threshold = hit;
  response.results[2].problem = Problem(422, "undecodable-image", "no picture");
  response.times = {1.25, 2.5, 0.75};
  const Json json = response.to_json();
  const SearchResponse back = SearchResponse::from_json(parse_json(json_text(json), "test"));
  EXPECT_EQ(json_text(back.to_json()), json_text(json));
  EXPECT_EQ(back.results[0].hits[1].score, 0.8125f);
  EXPECT_EQ(back.results[2].problem->type(), "undecodable-image");
}

TEST(SearchResponse, RefusesAnswersOfAnotherForm) {
  for (const char* bad :
       {"[]", "{}", R"({"model":"m","results":7,"ms":{}})", R"({"model":"m","results":[{}],"ms":{}})",
        R"({"model":"m","results":[{"hits":[{}]}],"ms":{"decode":0,"embed":0,"search":0}})",
        R"({"model":"m","results":[{"hits":[],"decision":"maybe"}]})"}) {
    EXPECT_THROW(SearchResponse::from_json(parse_json(bad, "test")), Error) << bad;
  }
}

TEST(EmbedResponse, WritesFloatsThatReadBackExactly) {
  EmbedResponse response{
      "m", 3, {std::vector<float>{0.1f, -1.0f / 3, 1e-20f}, Problem(422, "zero-vector", "zero")}};
  const Json json = parse_json(json_text(response.to_json()), "test");
  EXPECT_EQ(json["embeddings"][0]["vector"].get<std::vector<float>>(),
            (std::vector<float>{0.1f, -1.0f / 3, 1e-20f}));
  EXPECT_EQ(json["embeddings"][1]["error"]["status"], 422);
}

}  // namespace
}  // namespace kindred
