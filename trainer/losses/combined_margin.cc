// The combined margin of SphereFace, ArcFace and CosFace: the own class's cosine counts as
//   cos(m1 t + m2) - m3.
// Source: Deng, Guo, Xue, Zafeiriou, "ArcFace", CVPR 2019, eq. 4; there m1 t + m2 may pass pi and the cosine
// rise again, here it goes on falling.
#include <numbers>

#include "common/engine/launch.h"
#include "trainer/losses/angular_margin.h"

namespace kindred {
namespace {

struct CombinedMargins : CosineMargin {
  float m1, m2, m3;
  bool exact;

  KINDRED_DEV Logit own(float cosine, int64_t) const {
    const Logit logit = turned(cosine, m1, m2);
    return {logit.value - m3, exact ? logit.slope : 1};
  }
};

class CombinedMargin : public MarginSoftmax<CombinedMargin> {
 public:
  static void declare_options(Options& options) {
    options.add("combined_margin.m1", 1.0, "multiplies the angle between a row and its centre");
    options.add("combined_margin.m2", 0.3, "is added to the angle, in radians");
    options.add("combined_margin.m3", 0.2, "is taken off the cosine of that");
    options.add<std::string>("combined_margin.gradient", "exact",
                             "exact, or straight_through: as if the margins did not change the slope");
    declare_softmax_options(options, "combined_margin", 64);
  }

  explicit CombinedMargin(const Options& options)
      : MarginSoftmax(options, softmax_spec(options, "combined_margin")) {
    const auto read = [&](const char* name, double least, double most, const char* rule) {
      const double value = options.get<double>(name);
      require_option(options, name, value >= least && value <= most, rule);
      return static_cast<float>(value);
    };
    margins_.m1 = read("combined_margin.m1", 1, 4, "in [1, 4]");
    margins_.m2 = read("combined_margin.m2", 0, std::numbers::pi / 2, "in [0, pi/2]");
    margins_.m3 = read("combined_margin.m3", 0, 2, "in [0, 2]");
    margins_.exact = choose_option<bool>(options, "combined_margin.gradient",
                                         {{"exact", true}, {"straight_through", false}});
  }

  CombinedMargins margin(Stream&, Communicator&, const EmbeddingBatch&) const { return margins_; }

 private:
  CombinedMargins margins_{};
};

KINDRED_LOSS("combined_margin", CombinedMargin, "softmax over class centres, cos(m1 t + m2) - m3");

}  // namespace
}  // namespace kindred
