// Checks on option values that their type alone cannot make. Messages name the file and line, or the option.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/options.h"

namespace kindred {

/// Throws UsageError "demo.conf:14: sgd.momentum must be in [0, 1); found 1.5" unless `holds`. The option is
/// a double.
inline void require_option(const Options& options, std::string_view name, bool holds, std::string_view rule) {
  if (holds) return;
  fail_usage(options.source(name), ": ", name, " must be ", rule, "; found ", options.get<double>(name));
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
