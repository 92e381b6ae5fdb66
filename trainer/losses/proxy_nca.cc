// Proxy-NCA: each row against one proxy a class, by squared distances d of unit vectors:
//   L = mean of -ln( exp(-scale d(x, own)) / sum over other classes of exp(-scale d(x, other)) ).
// With `own_in_total` the own proxy stands in the denominator too: ProxyNCA++ with temperature 1 / scale.
// Source: Movshovitz-Attias et al., "No Fuss Distance Metric Learning using Proxies", ICCV 2017; Teh,
// DeVries, Taylor, "ProxyNCA++", ECCV 2020.
#include "common/engine/launch.h"
#include "trainer/losses/class_softmax.h"

namespace kindred {
namespace {

class ProxyNca : public MarginSoftmax<ProxyNca> {
 public:
  static void declare_options(Options& options) {
    options.add("proxy_nca.scale", 9.0, "multiplies squared distances");
    options.add("proxy_nca.own_in_total", false, "let the own proxy stand in the denominator too");
    ClassCentres::declare_options(options, "proxy_nca");
  }

  explicit ProxyNca(const Options& options) : MarginSoftmax(options, spec(options)) {}

  CosineMargin margin(Stream&, Communicator&, const EmbeddingBatch&) const { return {}; }

 private:
  static SoftmaxSpec spec(const Options& options) {
    SoftmaxSpec spec;
    const double scale = options.get<double>("proxy_nca.scale");
    require_option(options, "proxy_nca.scale", scale > 0, "more than 0");
    spec.centres.loss = "proxy_nca";
    spec.scale = 2 * scale;  // -d = 2 s - 2
    spec.own_in_total = options.get<bool>("proxy_nca.own_in_total");
    return spec;
  }
};

KINDRED_LOSS("proxy_nca", ProxyNca, "neighbourhood components on one proxy a class");

}  // namespace
}  // namespace kindred
