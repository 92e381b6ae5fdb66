// One set of option names for the command line and the config file (Boost.Program_options underneath).
// A name is "section.key" or "key": `--triplet.margin 0.3` on the command line, or in an INI file
//     [triplet]
//     margin = 0.3
// The command line wins over the file. Every unknown key is an error that names the nearest known one.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace kindred {

/// What an option can hold. A list is an option that may be repeated.
template <class T>
concept OptionValue = std::same_as<T, bool> || std::same_as<T, int64_t> || std::same_as<T, double> ||
    std::same_as<T, std::string> || std::same_as<T, std::vector<std::string>>;

class Options {
 public:
  /// `program` is the name in the usage line ("kindred-index build"), `summary` a paragraph on top of --help.
  /// --help, --version and, when asked for, --config FILE are always there.
  Options(std::string program, std::string summary);
  ~Options();
  Options(Options&&) noexcept;

  /// Declares an option; one of a single letter may be written with one dash, too (`-k 5`). A bool may be
  /// given alone (`--resume-strict`) or with a value (`--shuffle=false`). Given again, a list grows and any
  /// other option takes the last value; in one config file only lists may repeat.
  template <OptionValue T>
  void add(const std::string& name, T default_value, const std::string& help);

  /// Words without a dash, at least `least`, at most `most` (-1: any number); get<vector<string>>(name) reads
  /// them. Of several, each takes as many words as it may and leaves the later ones their least.
  void positional(const std::string& name, const std::string& help, int least, int most);

  /// Adds --config FILE; may be repeated, later files win.
  void accept_config_files();

  /// A heading in --help for the options declared after it.
  void group(const std::string& title);

  /// Free text at the foot of --help: examples, exit codes.
  void footer(const std::string& text);

  enum class Outcome { run, done };

  /// Reads the command line; `done` when --help or --version was printed on standard output.
  /// Throws UsageError: unknown names with the nearest one, values that are not of the option's type, and for
  /// config files "path:line: reason".
  Outcome parse(int argc, const char* const* argv);

  /// Reads the text of a config file over the present values. Throws UsageError "name:line: reason".
  void read_config(std::string_view text, const std::string& name);

  /// The value. Asking for an undeclared name or for another type is a bug and aborts.
  template <OptionValue T>
  const T& get(std::string_view name) const;

  /// True when the user gave the option, on the command line or in a file.
  bool given(std::string_view name) const;

  /// Where the value came from, for messages: "configs/demo.conf:14", "--triplet.margin" or "default".
  std::string source(std::string_view name) const;

  /// All options as an INI text that parses back to the same values; written beside a run.
  std::string config_text() const;

  /// What --help prints, in lines of at most `width` characters where the words allow.
  std::string help_text(int width = 80) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The body of every main(): catches Error (exit 1), UsageError (exit 2) and anything else (exit 1), prints
/// "program: message" on standard error, and returns the exit code.
int run_main(std::string_view program, const std::function<int()>& body);

}  // namespace kindred
