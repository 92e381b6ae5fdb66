#include "serve/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fstream>

#include "common/base/error.h"

namespace kindred {

namespace {

// Shortest text that reads back, and the format's spelling of what is not a number.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[32];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string label_text(const Metrics::Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += concat(text.empty() ? "" : ",", name, "=\"", escaped(value, true), "\"");
  }
  return text;
}

void write_line(std::string& out, std::string_view name, std::string_view labels, double value) {
  out += labels.empty() ? concat(name, " ", number_text(value), "\n")
                        : concat(name, "{", labels, "} ", number_text(value), "\n");
}

}  // namespace

void Metrics::declare(std::string name, Family family) {
  const std::lock_guard lock(mutex_);
  const std::string type = family.type;
  const auto [place, fresh] = families_.try_emplace(std::move(name), std::move(family));
  KINDRED_ASSERT(fresh || place->second.type == type);
}

void Metrics::declare_counter(std::string name, std::string help) {
  declare(std::move(name), {"counter", std::move(help), {}, {}, {}});
}

void Metrics::declare_histogram(std::string name, std::string help, std::vector<double> bounds) {
  KINDRED_ASSERT(std::is_sorted(bounds.begin(), bounds.end()));
  declare(std::move(name), {"histogram", std::move(help), std::move(bounds), {}, {}});
}

void Metrics::declare_gauge(std::string name, std::string help) {
  declare(std::move(name), {"gauge", std::move(help), {}, {}, {}});
}

void Metrics::declare_gauge(std::string name, std::string help, std::function<double()> read) {
  declare(std::move(name), {"gauge", std::move(help), {}, std::move(read), {}});
}

Metrics::Family& Metrics::family(std::string_view name, std::string_view type) {
  const auto found = families_.find(name);
  KINDRED_ASSERT(found != families_.end() && found->second.type == type);
  return found->second;
}

void Metrics::count(std::string_view name, const Labels& labels, double by) {
  const std::lock_guard lock(mutex_);
  family(name, "counter").series[label_text(labels)].sum += by;
}

void Metrics::set(std::string_view name, double value, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  family(name, "gauge").series[label_text(labels)].sum = value;
}

void Metrics::observe(std::string_view name, double value, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Family& histogram = family(name, "histogram");
  Series& series = histogram.series[label_text(labels)];
  series.counts.resize(histogram.bounds.size() + 1);
  const auto bucket = std::lower_bound(histogram.bounds.begin(), histogram.bounds.end(), value);
  ++series.counts[static_cast<size_t>(bucket - histogram.bounds.begin())];
  series.sum += value;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    out +=
        concat("# HELP ", name, " ", escaped(family.help, false), "\n# TYPE ", name, " ", family.type, "\n");
    if (family.read) write_line(out, name, "", family.read());
    for (const auto& [labels, series] : family.series) {
      if (family.type != "histogram") {
        write_line(out, name, labels, series.sum);
        continue;
      }
      int64_t below = 0;
      for (size_t b = 0; b < series.counts.size(); ++b) {
        below += series.counts[b];
        const double bound = b < family.bounds.size() ? family.bounds[b] : HUGE_VAL;
        const std::string le = concat(labels, labels.empty() ? "" : ",", "le=\"", number_text(bound), "\"");
        write_line(out, concat(name, "_bucket"), le, static_cast<double>(below));
      }
      write_line(out, concat(name, "_sum"), labels, series.sum);
      write_line(out, concat(name, "_count"), labels, static_cast<double>(below));
    }
  }
  return out;
}

void declare_process_metrics(Metrics& metrics) {
  const double start =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  metrics.declare_gauge("process_start_time_seconds", "Unix time at which the process began.",
                        [=] { return start; });
  metrics.declare_gauge("process_resident_memory_bytes", "Memory in use.", [] {
    double total = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
  });
  metrics.declare_gauge("process_cpu_seconds_total", "Processor time, user and system.", [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  });
}

}  // namespace kindred
