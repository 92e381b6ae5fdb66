// What the tests of the daemon share: an embedder of a few lines, pictures, a small gallery and a daemon over
// it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "common/image/decode.h"
#include "serve/client.h"
#include "serve/http_server.h"
#include "serve/routes.h"
#include "serve/service.h"
#include "tests/support/temporary_folder.h"

namespace kindred {

using test::TemporaryFolder;

constexpr int kDim = 13, kItems = 40, kLabels = 4;

/// The mean colours of a picture's four quarters and a constant, as a unit vector.
class QuarterEmbedder : public PictureEmbedder {
 public:
  /// `before` runs in front of every batch.
  explicit QuarterEmbedder(std::function<void(std::span<const Image>)> before = {})
      : before_(std::move(before)) {}
  int dim() const override { return kDim; }
  std::string id() const override { return "quarters"; }
  ImageSpec image_spec() const override { return {}; }

  void embed(std::span<const Image> images, float* out) override {
    if (before_) before_(images);
    for (const Image& image : images) {
      std::vector<double> sums(kDim, 0.0);
      sums[kDim - 1] = 64.0 * image.width * image.height;
      for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < image.width; ++x) {
          const int quarter = (2 * y / image.height) * 2 + 2 * x / image.width;
          for (int c = 0; c < 3; ++c)
            sums[static_cast<size_t>(quarter * 3 + c)] += image.row(y)[3 * x + c] - 128.0;
        }
      }
      double squares = 0;
      for (const double sum : sums) squares += sum * sum;
      for (const double sum : sums) *out++ = static_cast<float>(sum / std::sqrt(squares));
    }
  }

 private:
  std::function<void(std::span<const Image>)> before_;
};

/// Four flat quarters in colours that `seed` chooses.
inline Image quarter_picture(uint64_t seed, int side = 16) {
  Random random(seed, {7, 7, 7});
  uint8_t colours[4][3];
  for (auto& colour : colours) {
    for (uint8_t& channel : colour) channel = static_cast<uint8_t>(random.below(256));
  }
  Image image{side, side, std::vector<uint8_t>(static_cast<size_t>(side * side * 3))};
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      for (int c = 0; c < 3; ++c) image.row(y)[3 * x + c] = colours[(2 * y / side) * 2 + 2 * x / side][c];
    }
  }
  return image;
}
inline std::string quarter_png(uint64_t seed) { return encode_png(quarter_picture(seed)); }

inline std::vector<float> quarter_vector(uint64_t seed) {
  std::vector<float> vector(kDim);
  const Image image = quarter_picture(seed);
  QuarterEmbedder().embed(std::span(&image, 1), vector.data());
  return vector;
}

/// Items "item0".. with the pictures of seeds 0.. and labels in turn; thresholds for two targets.
inline Gallery quarter_gallery(const std::string& folder, int items = kItems) {
  GalleryInfo info;
  info.model_id = "quarters";
  info.dim = kDim;
  info.index_type = "exact";
  Gallery gallery = Gallery::create(folder, info);
  std::vector<GalleryItem> list;
  std::vector<float> vectors;
  for (int i = 0; i < items; ++i) {
    list.push_back(
        {concat("item", i), concat("/pictures/", i, ".png"), concat("label", i % kLabels), Json(), "00"});
    const std::vector<float> vector = quarter_vector(static_cast<uint64_t>(i));
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  gallery.add(list, vectors);
  gallery.set_thresholds(
      {{1e-1, 0.90, 0.099, 0.80, 99, 500, 1000}, {1e-2, 0.97, 0.0098, 0.60, 10, 500, 1000}});
  return gallery;
}

/// A service, the routes over it, and a server on a free port.
class TestDaemon {
 public:
  explicit TestDaemon(ServerOptions server = {}, ServiceOptions service = {},
                      std::function<void(std::span<const Image>)> before = {}) {
    server.port = 0;
    routes = std::make_unique<Routes>(ApiLimits{}, metrics);
    routes->open(std::make_shared<Service>(quarter_gallery(folder / "gallery"),
                                           std::make_unique<QuarterEmbedder>(std::move(before)), service,
                                           metrics));
    http = std::make_unique<HttpServer>(
        server, [this](const HttpRequest& request) { return routes->answer(request); },
        [this](const Problem& problem) { return routes->refuse(problem); });
  }

  std::string url() const { return concat("http://127.0.0.1:", http->port()); }
  Client client() const { return Client(url(), std::chrono::seconds(20)); }

  TemporaryFolder folder;
  Metrics metrics;
  std::unique_ptr<Routes> routes;
  std::unique_ptr<HttpServer> http;
};

}  // namespace kindred
