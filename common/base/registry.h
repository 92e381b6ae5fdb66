// Name -> factory tables. A new loss, miner, model, kernel, ... is one file with one registration line at its
// foot; registered names appear by themselves in --help, in "did you mean" errors and in the tests.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace kindred {

/// A table from name to factory. `Factory` is any std::function type.
template <class Factory>
class Registry {
 public:
  struct Entry {
    Factory make;
    std::string help;
  };

  /// `kind` is the word used in errors: "loss", "miner", ...
  explicit Registry(std::string kind) : kind_(std::move(kind)) {}

  /// Called by registration lines before main. A name given twice is a bug.
  bool add(std::string name, Factory make, std::string help) {
    const bool fresh = entries_.emplace(std::move(name), Entry{std::move(make), std::move(help)}).second;
    KINDRED_ASSERT(fresh);
    return fresh;
  }

  bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }

  /// Throws Error naming the nearest known name.
  const Entry& get(std::string_view name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) fail(unknown_name_text(kind_, name, names()));
    return found->second;
  }

  /// Sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, entry] : entries_) out.push_back(name);
    return out;
  }

  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }

 private:
  std::string kind_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace kindred
