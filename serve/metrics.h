// Numbers about a running daemon, in the text form that Prometheus reads.
// Source: Prometheus exposition format, version 0.0.4.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kindred {

/// Declare every family at start (again is harmless); then count, set and observe from any thread. Names are
/// of our own making: an undeclared one is a bug. Label values may be any text, but must come from a small
/// set.
class Metrics {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  void declare_counter(std::string name, std::string help);
  /// `bounds`: upper ends of the buckets, ascending; one to +Inf is added.
  void declare_histogram(std::string name, std::string help, std::vector<double> bounds);
  void declare_gauge(std::string name, std::string help);
  /// A gauge that asks: `read` is called for every text(), from its thread; it must not use this object.
  void declare_gauge(std::string name, std::string help, std::function<double()> read);

  void count(std::string_view name, const Labels& labels = {}, double by = 1);
  void set(std::string_view name, double value, const Labels& labels = {});
  void observe(std::string_view name, double value, const Labels& labels = {});

  std::string text() const;

 private:
  struct Series {
    double sum = 0;               // or the value of a counter or gauge
    std::vector<int64_t> counts;  // by bucket, of a histogram
  };
  struct Family {
    std::string type, help;
    std::vector<double> bounds;
    std::function<double()> read;
    std::map<std::string, Series> series;  // by label text: `route="/v1/search",code="200"`
  };

  void declare(std::string name, Family family);
  Family& family(std::string_view name, std::string_view type);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
};

/// Memory, processor time and start time of this process, under Prometheus' usual names.
void declare_process_metrics(Metrics& metrics);

}  // namespace kindred
