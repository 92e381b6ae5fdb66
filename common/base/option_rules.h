// Checks on option values that their type alone cannot make. Messages name the file and line, or the option.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/options.h"

namespace kindred {

/// Throws UsageError "demo.conf:14: sgd.momentum must be in [0, 1); found 1.5" unless `holds`. T: the
/// option's type.
template <class T = double>
void require_option(const Options& options, std::string_view name, bool holds, std::string_view rule) {
  if (holds) return;
  fail_usage(options.source(name), ": ", name, " must be ", rule, "; found ", options.get<T>(name));
}

/// An int64_t option. Throws UsageError "--batch: 'batch' is 0; expected 1 to 4096" outside [low, high].
inline int64_t whole_option(const Options& options, std::string_view name, int64_t low, int64_t high) {
  const int64_t value = options.get<int64_t>(name);
  if (value < low || value > high)
    fail_usage(options.source(name), ": '", name, "' is ", value, "; expected ", low, " to ", high);
  return value;
}

/// parse(text of a string option); its Error becomes a UsageError that names file and line, or the option.
template <class F>
auto parsed_option(const Options& options, std::string_view name, F parse) {
  try {
    return parse(options.get<std::string>(name));
  } catch (const Error& error) {
    fail_usage(options.source(name), ": ", error.what());
  }
}

/// The meaning of the word that a string option holds. Throws UsageError naming the nearest of the known
/// words.
template <class T>
T choose_option(const Options& options, std::string_view name,
                std::initializer_list<std::pair<std::string_view, T>> choices) {
  const std::string& word = options.get<std::string>(name);
  std::vector<std::string> known;
  for (const auto& [text, meaning] : choices) {
    if (text == word) return meaning;
    known.emplace_back(text);
  }
  fail_usage(options.source(name), ": ", unknown_name_text(name, word, known));
}

}  // namespace kindred
