#include "serve/service.h"

#include <gtest/gtest.h>

#include <cmath>
#include <future>
#include <limits>

#include "tests/serve/serve_fixture.h"

namespace kindred {
namespace {

class ServiceTest : public testing::Test {
 protected:
  ServiceTest()
      : service_(quarter_gallery(folder_ / "g"), std::make_unique<QuarterEmbedder>(), {}, metrics_) {}

  SearchResponse search(std::vector<Query> queries, int k = 3, ThresholdChoice threshold = NoThreshold{}) {
    SearchRequest request;
    request.queries = std::move(queries);
    request.k = k;
    request.threshold = threshold;
    return service_.search(request);
  }
  std::string refusal(Query query, ThresholdChoice threshold = NoThreshold{}) {
    try {
      search({std::move(query)}, 3, threshold);
    } catch (const Problem& problem) {
      return concat(problem.status(), " ", problem.type());
    }
    return "";
  }

  TemporaryFolder folder_;
  Metrics metrics_;
  Service service_;
};

TEST_F(ServiceTest, FindsAnImageThatIsInTheGallery) {
  const SearchResponse response = search({ImageQuery{quarter_png(5)}});
  ASSERT_EQ(response.results.size(), 1u);
  ASSERT_EQ(response.results[0].hits.size(), 3u);
  EXPECT_EQ(response.results[0].hits[0].item.id, "item5");
  EXPECT_EQ(response.results[0].hits[0].item.label, "label1");
  EXPECT_NEAR(response.results[0].hits[0].score, 1, 1e-6);
  EXPECT_GE(response.results[0].hits[1].score, response.results[0].hits[2].score);
  EXPECT_EQ(response.results[0].decision, Decision::none);
  EXPECT_EQ(response.model_id, "quarters");
  EXPECT_FALSE(response.threshold.has_value());
}

TEST_F(ServiceTest, AnImageItsVectorAndAMultipleOfItGetOneAnswer) {
  std::vector<float> longer = quarter_vector(100);
  for (float& x : longer) x *= 300;
  const SearchResponse response =
      search({ImageQuery{quarter_png(100)}, VectorQuery{quarter_vector(100)}, VectorQuery{longer}}, 5);
  for (size_t r = 0; r < 5; ++r) {
    EXPECT_EQ(response.results[0].hits[r].item.id, response.results[1].hits[r].item.id);
    EXPECT_NEAR(response.results[0].hits[r].score, response.results[2].hits[r].score, 1e-6);
  }
}

TEST_F(ServiceTest, AnItemAskedForByIdIsNotItsOwnNeighbour) {
  const SearchResponse by_id = search({IdQuery{"item7"}}, kItems),
                       by_image = search({ImageQuery{quarter_png(7)}}, kItems);
  ASSERT_EQ(by_id.results[0].hits.size(), size_t{kItems} - 1);
  for (size_t r = 0; r + 1 < size_t{kItems}; ++r) {
    EXPECT_EQ(by_id.results[0].hits[r].item.id, by_image.results[0].hits[r + 1].item.id);
  }
  EXPECT_EQ(search({IdQuery{"item7"}}, 3).results[0].hits.size(), 3u);
}

TEST_F(ServiceTest, AThresholdDecidesAndCuts) {
  const auto all = search({ImageQuery{quarter_png(3)}}, 5).results[0].hits;
  const double between = (double{all[1].score} + all[2].score) / 2;
  const SearchResponse match = search({ImageQuery{quarter_png(3)}}, 5, between);
  EXPECT_EQ(match.threshold->value, between);
  EXPECT_FALSE(match.threshold->calibration.has_value());
  EXPECT_EQ(match.results[0].decision, Decision::match);
  EXPECT_EQ(match.results[0].hits.size(), 2u);
  EXPECT_FALSE(match.results[0].best_below_threshold.has_value());

  const SearchResponse unknown = search({ImageQuery{quarter_png(900)}}, 5, 0.9999);
  EXPECT_EQ(unknown.results[0].decision, Decision::unknown);
  EXPECT_TRUE(unknown.results[0].hits.empty());
  EXPECT_EQ(unknown.results[0].best_below_threshold->item.id,
            search({ImageQuery{quarter_png(900)}}, 1).results[0].hits[0].item.id);
}

TEST_F(ServiceTest, AScoreAtTheThresholdPasses) {
  const float best = search({ImageQuery{quarter_png(901)}}, 1).results[0].hits[0].score;
  EXPECT_EQ(search({ImageQuery{quarter_png(901)}}, 1, double{best}).results[0].decision, Decision::match);
  EXPECT_EQ(search({ImageQuery{quarter_png(901)}}, 1, double{std::nextafter(best, 2.0f)}).results[0].decision,
            Decision::unknown);
}

TEST_F(ServiceTest, ATargetUsesTheCalibrationThatKeepsIt) {
  EXPECT_EQ(search({IdQuery{"item0"}}, 1, TargetFpr{1e-2}).threshold->value, 0.97);
  EXPECT_EQ(search({IdQuery{"item0"}}, 1, TargetFpr{5e-2}).threshold->calibration->target_fpr, 1e-2);
  EXPECT_EQ(search({IdQuery{"item0"}}, 1, TargetFpr{0.5}).threshold->calibration->true_positive_rate, 0.80);
  EXPECT_EQ(refusal(IdQuery{"item0"}, TargetFpr{1e-3}), "422 calibration-out-of-range");
}

TEST_F(ServiceTest, RefusesASingleBadQueryWithItsStatus) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  std::vector<float> with_nan(kDim, 1.0f), with_infinity(kDim, 1.0f), huge(kDim, 1e38f);
  with_nan[3] = nan, with_infinity[0] = infinity;
  const std::string png = quarter_png(1);
  EXPECT_EQ(refusal(IdQuery{"nobody"}), "404 item-not-found");
  EXPECT_EQ(refusal(ImageQuery{"this is no picture"}), "422 undecodable-image");
  EXPECT_EQ(refusal(ImageQuery{png.substr(0, png.size() / 2)}), "422 undecodable-image");
  EXPECT_EQ(refusal(VectorQuery{std::vector<float>(kDim - 1, 1.0f)}), "422 dimension-mismatch");
  EXPECT_EQ(refusal(VectorQuery{{}}), "422 dimension-mismatch");
  EXPECT_EQ(refusal(VectorQuery{with_nan}), "422 not-finite");
  EXPECT_EQ(refusal(VectorQuery{with_infinity}), "422 not-finite");
  EXPECT_EQ(refusal(VectorQuery{std::vector<float>(kDim, 0.0f)}), "422 zero-vector");
  EXPECT_EQ(refusal(VectorQuery{huge}), "");  // finite and with a direction
}

TEST_F(ServiceTest, OneBadQueryOfSeveralLeavesTheOthersAnswered) {
  const SearchResponse response = search(
      {ImageQuery{quarter_png(1)}, ImageQuery{"rubbish"}, IdQuery{"nobody"}, VectorQuery{quarter_vector(2)}});
  EXPECT_EQ(response.results[0].hits[0].item.id, "item1");
  EXPECT_EQ(response.results[1].problem->type(), "undecodable-image");
  EXPECT_EQ(response.results[2].problem->status(), 404);
  EXPECT_EQ(response.results[3].hits[0].item.id, "item2");
  EXPECT_EQ(search({IdQuery{"nobody"}, IdQuery{"either"}}).results[1].problem->status(), 404);
}

TEST_F(ServiceTest, RefusesPicturesThatAreTooLargeBeforeDecodingThem) {
  ServiceOptions options;
  options.decode.max_side = 64;
  Service strict(quarter_gallery(folder_ / "strict"), std::make_unique<QuarterEmbedder>(), options, metrics_);
  SearchRequest request;
  request.queries = {ImageQuery{encode_png(quarter_picture(1, 65))}};
  EXPECT_THROW(strict.search(request), Problem);
}

TEST_F(ServiceTest, EmbedsImages) {
  const EmbedResponse response = service_.embed({{quarter_png(1), "rubbish", quarter_png(2)}, 10'000});
  EXPECT_EQ(response.dim, kDim);
  EXPECT_EQ(std::get<std::vector<float>>(response.embeddings[0]), quarter_vector(1));
  EXPECT_EQ(std::get<Problem>(response.embeddings[1]).type(), "undecodable-image");
  EXPECT_EQ(std::get<std::vector<float>>(response.embeddings[2]), quarter_vector(2));
  EXPECT_THROW(service_.embed({{"rubbish"}, 10'000}), Problem);
}

TEST_F(ServiceTest, ManyThreadsGetTheAnswersOfOne) {
  std::vector<SearchResponse> alone;
  for (uint64_t i = 0; i < 32; ++i) alone.push_back(search({ImageQuery{quarter_png(1000 + i)}}, 4));
  std::vector<std::future<SearchResponse>> together;
  for (uint64_t i = 0; i < 32; ++i) {
    together.push_back(
        std::async(std::launch::async, [&, i] { return search({ImageQuery{quarter_png(1000 + i)}}, 4); }));
  }
  for (size_t i = 0; i < alone.size(); ++i) {
    SearchResponse response = together[i].get();
    response.times = alone[i].times;
    EXPECT_EQ(json_text(response.to_json()), json_text(alone[i].to_json()));
  }
}

TEST_F(ServiceTest, AnEmptyGalleryKnowsNobody) {
  Service empty(quarter_gallery(folder_ / "empty", 0), std::make_unique<QuarterEmbedder>(), {}, metrics_);
  SearchRequest request;
  request.queries = {ImageQuery{quarter_png(1)}};
  request.threshold = 0.5;
  const SearchResponse response = empty.search(request);
  EXPECT_EQ(response.results[0].decision, Decision::unknown);
  EXPECT_FALSE(response.results[0].best_below_threshold.has_value());
}

TEST_F(ServiceTest, CountsDecisions) {
  search({IdQuery{"item1"}}, 1, -1.0);
  search({ImageQuery{quarter_png(77)}}, 1, 1.0);
  const std::string text = metrics_.text();
  EXPECT_NE(text.find("kindred_search_decisions_total{decision=\"match\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("kindred_search_decisions_total{decision=\"unknown\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("kindred_top1_score_count 2\n"), std::string::npos);
}

TEST(Service, AnswersWithTheThresholdItWasStartedWith) {
  const TemporaryFolder folder;
  Metrics metrics;
  ServiceOptions options;
  options.threshold = TargetFpr{1e-2};
  Service service(quarter_gallery(folder / "g"), std::make_unique<QuarterEmbedder>(), options, metrics);
  SearchRequest request;
  request.queries = {IdQuery{"item1"}};
  EXPECT_EQ(service.search(request).threshold->value, 0.97);
  request.threshold = NoThreshold{};
  EXPECT_FALSE(service.search(request).threshold.has_value());
}

TEST(Service, RefusesToStartWhenItCouldNotKeepItsWord) {
  class Other : public QuarterEmbedder {
    std::string id() const override { return "other"; }
  };
  class Long : public QuarterEmbedder {
    void embed(std::span<const Image> images, float* out) override {
      QuarterEmbedder::embed(images, out);
      out[0] += 1;
    }
  };
  const TemporaryFolder folder;
  Metrics metrics;
  ServiceOptions uncalibrated;
  uncalibrated.threshold = TargetFpr{1e-6};
  EXPECT_THROW(Service(quarter_gallery(folder / "a"), std::make_unique<Other>(), {}, metrics), Error);
  EXPECT_THROW(Service(quarter_gallery(folder / "b"), std::make_unique<Long>(), {}, metrics), Error);
  EXPECT_THROW(
      Service(quarter_gallery(folder / "c"), std::make_unique<QuarterEmbedder>(), uncalibrated, metrics),
      Error);
}

}  // namespace
}  // namespace kindred
