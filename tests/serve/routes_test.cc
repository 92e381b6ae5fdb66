#include "serve/routes.h"

#include <gtest/gtest.h>

#include <cstring>  // memcpy

#include "tests/serve/serve_fixture.h"

namespace kindred {
namespace {

class RoutesTest : public testing::Test {
 protected:
  RoutesTest() : routes_({}, metrics_) {}
  void open() {
    routes_.open(std::make_shared<Service>(quarter_gallery(folder_ / "g"),
                                           std::make_unique<QuarterEmbedder>(), ServiceOptions{}, metrics_));
  }
  HttpResponse get(const std::string& target) { return routes_.answer({"GET", target, "", "", ""}); }
  static std::string header(const HttpResponse& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  TemporaryFolder folder_;
  Metrics metrics_;
  Routes routes_;
};

TEST_F(RoutesTest, LivesBeforeItIsReady) {
  EXPECT_EQ(get("/livez").status, 200);
  const HttpResponse loading = get("/readyz");
  EXPECT_EQ(loading.status, 503);
  EXPECT_EQ(loading.content_type, "application/problem+json");
  EXPECT_EQ(header(loading, "Retry-After"), "1");
  EXPECT_EQ(parse_json(loading.body, "test")["type"], "urn:kindred:loading");
  EXPECT_EQ(routes_.answer({"POST", "/v1/search", "image/png", "", quarter_png(1)}).status, 503);
  open();
  EXPECT_EQ(get("/readyz").status, 200);
  routes_.drain();
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/livez").status, 200);
  EXPECT_EQ(routes_.answer({"POST", "/v1/search", "image/png", "", quarter_png(1)}).status, 200);
}

TEST_F(RoutesTest, DescribesItsGallery) {
  open();
  const Json json = parse_json(get("/v1/galleries/default").body, "test");
  EXPECT_EQ(json["items"], kItems);
  EXPECT_EQ(json["dim"], kDim);
  EXPECT_EQ(json["thresholds"].size(), 2u);
  EXPECT_EQ(get("/v1/galleries/other").status, 404);
}

TEST_F(RoutesTest, TellsItsVersion) {
  EXPECT_EQ(parse_json(get("/version").body, "test")["name"], "kindred");
}

TEST_F(RoutesTest, SearchesAndEmbeds) {
  open();
  const HttpResponse found = routes_.answer({"POST", "/v1/search?k=1", "image/png", "", quarter_png(9)});
  EXPECT_EQ(parse_json(found.body, "test")["results"][0]["hits"][0]["id"], "item9");
  const HttpResponse json = routes_.answer({"POST", "/v1/embed", "image/png", "", quarter_png(9)});
  EXPECT_EQ(parse_json(json.body, "test")["embeddings"][0]["vector"].get<std::vector<float>>(),
            quarter_vector(9));
  const HttpResponse binary =
      routes_.answer({"POST", "/v1/embed", "image/png", "application/octet-stream", quarter_png(9)});
  EXPECT_EQ(header(binary, "X-Kindred-Dim"), concat(kDim));
  std::vector<float> floats(kDim);
  ASSERT_EQ(binary.body.size(), floats.size() * sizeof(float));
  std::memcpy(floats.data(), binary.body.data(), binary.body.size());
  EXPECT_EQ(floats, quarter_vector(9));
}

TEST_F(RoutesTest, RefusesUnknownPathsAndMethods) {
  EXPECT_EQ(get("/").status, 404);
  EXPECT_EQ(get("/v1/search/").status, 404);
  EXPECT_EQ(get("/livez?k=%").status, 400);
  const HttpResponse wrong_method = get("/v1/search");
  EXPECT_EQ(wrong_method.status, 405);
  EXPECT_EQ(header(wrong_method, "Allow"), "POST");
}

TEST_F(RoutesTest, EveryErrorIsAProblemThatNamesItsRequest) {
  open();
  const HttpResponse response = routes_.answer({"POST", "/v1/search", "image/png", "", "rubbish"});
  const Json json = parse_json(response.body, "test");
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(json["status"], 422);
  EXPECT_EQ(json["type"], "urn:kindred:undecodable-image");
  EXPECT_EQ(json["title"], "undecodable image");
  EXPECT_FALSE(json["detail"].get<std::string>().empty());
  EXPECT_EQ(json["instance"], header(response, "X-Request-Id"));
}

TEST_F(RoutesTest, AFailingEmbedderIsAnInternalError) {
  bool fails = false;
  const auto embedder = [&](std::span<const Image>) {
    if (fails) throw std::runtime_error("secret");
  };
  routes_.open(std::make_shared<Service>(quarter_gallery(folder_ / "g"),
                                         std::make_unique<QuarterEmbedder>(embedder), ServiceOptions{},
                                         metrics_));
  fails = true;
  const HttpResponse response = routes_.answer({"POST", "/v1/search", "image/png", "", quarter_png(1)});
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
}

TEST_F(RoutesTest, CountsRequestsByRouteAndNeverByWhatTheClientMadeUp) {
  get("/livez");
  get("/livez");
  get("/made/up");
  const std::string text = get("/metrics").body;
  EXPECT_NE(text.find("kindred_http_requests_total{route=\"/livez\",code=\"200\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("kindred_http_requests_total{route=\"other\",code=\"404\"} 1\n"), std::string::npos);
  EXPECT_EQ(text.find("made"), std::string::npos);
}

TEST_F(RoutesTest, LogsOneLineOfJsonForEveryRequest) {
  testing::internal::CaptureStderr();
  get("/livez?\n\x1b[31m\xff");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
  EXPECT_EQ(log.find('\x1b'), std::string::npos);
  EXPECT_EQ(parse_json(log, "log")["status"], 200);
}

}  // namespace
}  // namespace kindred
