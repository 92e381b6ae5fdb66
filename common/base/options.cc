#include "common/base/options.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <new>  // bad_alloc
#include <variant>

#include "common/base/help_text.h"
#include "common/base/ini.h"
#include "common/base/option_value.h"
#include "common/base/version.h"

namespace kindred {

namespace po = boost::program_options;

namespace {

using List = std::vector<std::string>;

struct Option {
  std::string name, help;
  OptionVariant value;
  std::string default_text = {};  // of the value, when declared
  std::string source = "default";
  int pass = 0;  // the file or command line that set it last; 0: none
  bool in_files = true;
  int least = 0, most = 0;  // words, for positional ones

  bool is_list() const { return std::holds_alternative<List>(value); }
};

struct Group {
  std::string title;
  std::vector<std::string> options;
};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string read_config_file(const std::string& path) {
  constexpr std::streamsize kMaxBytes = 1 << 20;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    fail_usage(path, ": is a directory, expected a config file");
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_usage(path, ": the config file cannot be opened; does it exist?");
  std::string text(static_cast<size_t>(kMaxBytes) + 1, '\0');
  file.read(text.data(), kMaxBytes + 1);
  if (file.bad()) fail_usage(path, ": the config file cannot be read");
  if (file.gcount() > kMaxBytes) fail_usage(path, ": larger than 1 MiB, which no config file is");
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

}  // namespace

struct Options::Impl {
  std::string program, summary, footer;
  std::map<std::string, Option, std::less<>> options;
  std::vector<Group> groups{{"", {}}};
  std::vector<std::string> positionals;
  int passes = 0;

  Option& declare(Option option) {
    KINDRED_ASSERT(!option.name.empty() && !option.help.empty());
    const std::string name = option.name;
    option.default_text = option_value_text(option.value);
    const auto [place, fresh] = options.emplace(name, std::move(option));
    KINDRED_ASSERT(fresh);
    return place->second;
  }

  const Option& at(std::string_view name) const {
    const auto found = options.find(name);
    KINDRED_ASSERT(found != options.end());
    return found->second;
  }

  bool is_positional(std::string_view name) const {
    return std::find(positionals.begin(), positionals.end(), name) != positionals.end();
  }

  // "; did you mean '...'?", where a right key in a wrong section counts as near.
  std::string hint(std::string_view name, std::string_view dashes) const {
    List known;
    std::string same_key;
    const auto key_of = [](std::string_view full) { return full.substr(full.rfind('.') + 1); };
    for (const Group& group : groups) {
      for (const std::string& candidate : group.options) {
        known.push_back(candidate);
        if (same_key.empty() && key_of(candidate) == key_of(name)) same_key = candidate;
      }
    }
    std::string near = nearest_name(name, known);
    if (near.empty()) near = same_key;
    if (near.empty()) return concat("; '", program, " --help' lists all");
    return concat("; did you mean '", dashes, near, "'?");
  }

  void set(Option& option, const std::string& text, std::string source, std::string_view what, int pass) {
    if (option.is_list() && option.pass != pass) option.value = List{};
    read_option_value(option.value, text, what);
    option.source = std::move(source);
    option.pass = pass;
  }

  po::parsed_options tokenize(List words) const;
  void read_words(const List& words);
  std::string usage_line() const;
};

Options::Options(std::string program, std::string summary) : impl_(std::make_unique<Impl>()) {
  impl_->program = std::move(program);
  impl_->summary = std::move(summary);
  for (const auto& [name, help] :
       {std::pair{"help", "print this text and exit"}, std::pair{"version", "print the version and exit"}}) {
    impl_->declare({.name = name, .help = help, .value = false, .in_files = false});
  }
}

Options::~Options() = default;
Options::Options(Options&&) noexcept = default;

template <OptionValue T>
void Options::add(const std::string& name, T default_value, const std::string& help) {
  if constexpr (std::is_same_v<T, double>) KINDRED_ASSERT(std::isfinite(default_value));
  impl_->declare({.name = name, .help = help, .value = OptionVariant(std::move(default_value))});
  impl_->groups.back().options.push_back(name);
}

template void Options::add(const std::string&, bool, const std::string&);
template void Options::add(const std::string&, int64_t, const std::string&);
template void Options::add(const std::string&, double, const std::string&);
template void Options::add(const std::string&, std::string, const std::string&);
template void Options::add(const std::string&, List, const std::string&);

void Options::positional(const std::string& name, const std::string& help, int least, int most) {
  KINDRED_ASSERT(least >= 0 && (most == -1 || most >= least) && most != 0);
  impl_->declare({.name = name,
                  .help = help,
                  .value = List{},
                  .in_files = false,
                  .least = least,
                  .most = most == -1 ? std::numeric_limits<int>::max() : most});
  impl_->positionals.push_back(name);
}

void Options::accept_config_files() {
  add("config", List{},
      "read options from this INI file; of several the later ones win, the command line wins over all");
  impl_->options.at("config").in_files = false;
}

void Options::group(const std::string& title) { impl_->groups.push_back({title, {}}); }
void Options::footer(const std::string& text) { impl_->footer = text; }

// Splits the command line by Boost's rules, minus two of them: abbreviations are not guessed, and a switch
// does not swallow the word behind it. Values stay texts here, so that files and command line are read by the
// same code.
po::parsed_options Options::Impl::tokenize(List words) const {
  const auto option_of = [&](std::string_view word) -> const Option* {
    const size_t dashes = word.size() == 2 ? 1 : 2;  // "-k" is "--k"
    if (!word.starts_with(std::string_view("--").substr(0, dashes))) return nullptr;
    const auto found = options.find(word.substr(dashes, word.find('=') - dashes));
    return found == options.end() || is_positional(found->first) ? nullptr : &found->second;
  };
  for (std::string& word : words) {
    if (word == "--") break;
    const Option* option = option_of(word);
    if (option != nullptr && std::holds_alternative<bool>(option->value) &&
        word.find('=') == std::string::npos)
      word = concat("--", option->name, "=true");
  }
  po::options_description declared;
  for (const auto& [name, option] : options) {
    if (is_positional(name)) continue;
    auto* value = po::value<std::string>();
    if (std::holds_alternative<bool>(option.value)) value->implicit_value("true");
    const std::string spelling = name == "help" ? "help,h" : name.size() == 1 ? name + "," + name : name;
    declared.add_options()(spelling.c_str(), value, "");
  }
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  try {
    po::parsed_options parsed = po::command_line_parser(words).options(declared).style(style).run();
    for (const po::option& option : parsed.options) {
      const bool separate = option.original_tokens.size() == 2;
      if (separate && option_of(option.original_tokens[1]) != nullptr) {
        const std::string& next = option.original_tokens[1];
        fail_usage("'--", option.string_key, "' needs a value; found the option '",
                   next.substr(0, next.find('=')), "'");
      }
    }
    return parsed;
  } catch (const po::unknown_option& unknown) {
    const std::string full = unknown.get_option_name().substr(0, unknown.get_option_name().find('='));
    const size_t dashes = full.find_first_not_of('-');
    fail_usage("unknown option '", full, "'",
               hint(dashes == std::string::npos ? full : full.substr(dashes), "--"));
  } catch (const po::invalid_command_line_syntax& wrong) {
    const std::string option = wrong.get_option_name();
    if (wrong.kind() == po::invalid_syntax::missing_parameter) fail_usage("'", option, "' needs a value");
    if (wrong.kind() == po::invalid_syntax::empty_adjacent_parameter) {
      fail_usage("'", option, "=' has no value; an empty one is written ", option, " ''");
    }
    fail_usage(wrong.what());
  } catch (const po::error& wrong) {
    fail_usage(wrong.what());
  }
}

// Deals the words without a dash out to the positional options.
void Options::Impl::read_words(const List& words) {
  size_t left = words.size();
  int owed = 0;  // to the later ones
  for (const std::string& name : positionals) owed += at(name).least;
  auto next = words.begin();
  for (const std::string& name : positionals) {
    Option& option = options.at(name);
    owed -= option.least;
    const size_t free = left > static_cast<size_t>(owed) ? left - static_cast<size_t>(owed) : 0;
    const size_t take = std::min({free, left, static_cast<size_t>(option.most)});
    if (take < static_cast<size_t>(option.least)) {
      fail_usage("expected ", option.least == option.most ? "" : "at least ", option.least, " ", upper(name),
                 ", got ", take, "; ", usage_line());
    }
    if (take > 0) option.source = "command line";
    option.pass = take > 0 ? passes : 0;
    option.value = List(next, next + static_cast<ptrdiff_t>(take));
    next += static_cast<ptrdiff_t>(take);
    left -= take;
  }
  if (left == 0) return;
  const bool switch_value = *next == "true" || *next == "false";
  fail_usage("unexpected word '", *next, "'",
             switch_value ? concat("; a switch takes its value as --name=", *next) : "");
}

Options::Outcome Options::parse(int argc, const char* const* argv) {
  const List words(argv + std::min(argc, 1), argv + argc);
  const po::parsed_options parsed = impl_->tokenize(words);
  const auto occurs = [&](std::string_view name) {
    return std::any_of(parsed.options.begin(), parsed.options.end(),
                       [&](const po::option& option) { return option.string_key == name; });
  };
  if (occurs("help")) {
    std::fputs(help_text(terminal_width()).c_str(), stdout);
    return Outcome::done;
  }
  if (occurs("version")) {
    std::puts(version_text(impl_->program.substr(0, impl_->program.find(' '))).c_str());
    return Outcome::done;
  }
  for (const po::option& option : parsed.options) {
    if (option.string_key != "config") continue;
    read_config(read_config_file(option.value.front()), option.value.front());
  }
  const int pass = ++impl_->passes;
  List positional_words;
  for (const po::option& option : parsed.options) {
    if (option.position_key != -1) {
      positional_words.push_back(option.value.front());
      continue;
    }
    const std::string flag = "--" + option.string_key;
    impl_->set(impl_->options.at(option.string_key), option.value.front(), flag, concat("'", flag, "'"),
               pass);
  }
  impl_->read_words(positional_words);
  return Outcome::run;
}

void Options::read_config(std::string_view text, const std::string& name) {
  const int pass = ++impl_->passes;
  for (const IniEntry& entry : parse_ini(text, name)) {
    const std::string where = concat(name, ":", entry.line);
    const auto found = impl_->options.find(entry.key);
    if (found == impl_->options.end()) {
      fail_usage(where, ": unknown option '", entry.key, "'", impl_->hint(entry.key, ""));
    }
    Option& option = found->second;
    if (!option.in_files) fail_usage(where, ": '", entry.key, "' belongs on the command line, not in a file");
    if (option.pass == pass && !option.is_list()) {
      fail_usage(where, ": '", entry.key, "' was given before at ", option.source);
    }
    impl_->set(option, entry.value, where, concat(where, ": '", entry.key, "'"), pass);
  }
}

template <OptionValue T>
const T& Options::get(std::string_view name) const {
  const T* value = std::get_if<T>(&impl_->at(name).value);
  KINDRED_ASSERT(value != nullptr);
  return *value;
}

template const bool& Options::get(std::string_view) const;
template const int64_t& Options::get(std::string_view) const;
template const double& Options::get(std::string_view) const;
template const std::string& Options::get(std::string_view) const;
template const List& Options::get(std::string_view) const;

bool Options::given(std::string_view name) const { return impl_->at(name).pass != 0; }
std::string Options::source(std::string_view name) const { return impl_->at(name).source; }

std::string Options::config_text() const {
  std::map<std::string, std::string> sections;  // "" first, as it must be
  for (const Group& group : impl_->groups) {
    for (const std::string& name : group.options) {
      const Option& option = impl_->at(name);
      if (!option.in_files) continue;
      const size_t dot = name.rfind('.');
      std::string& section = sections[dot == std::string::npos ? "" : name.substr(0, dot)];
      const std::string key = name.substr(dot + 1);  // npos + 1 is 0
      const List values =
          option.is_list() ? std::get<List>(option.value) : List{option_value_text(option.value)};
      for (const std::string& value : values) section += concat(key, " = ", ini_value_text(value), "\n");
    }
  }
  std::string out;
  for (const auto& [title, lines] : sections) {
    if (lines.empty()) continue;
    if (!title.empty()) out += concat(out.empty() ? "" : "\n", "[", title, "]\n");
    out += lines;
  }
  return out;
}

std::string Options::Impl::usage_line() const {
  std::string line = concat("usage: ", program);
  for (const std::string& name : positionals) {
    const Option& option = at(name);
    const std::string word = upper(name) + (option.most > 1 ? "..." : "");
    line += option.least == 0 ? concat(" [", word, "]") : concat(" ", word);
  }
  return line + " [options]";
}

std::string Options::help_text(int width) const {
  std::string out = wrap_text(concat(impl_->usage_line(), "\n\n", impl_->summary), 0, width);
  std::vector<HelpRow> rows;
  for (const std::string& name : impl_->positionals) rows.push_back({upper(name), impl_->at(name).help});
  if (!rows.empty()) out += "\n" + help_table(rows, width);
  for (const Group& group : impl_->groups) {
    if (group.options.empty()) continue;
    rows.clear();
    for (const std::string& name : group.options) {
      const Option& option = impl_->at(name);
      const std::string& value = option.default_text;
      const bool silent = value.empty() || (std::holds_alternative<bool>(option.value) && value == "false");
      rows.push_back({concat(name.size() == 1 ? "-" : "--", name, option_placeholder(option.value)),
                      option.help + (silent ? "" : concat(" (default ", value, ")"))});
    }
    out += concat("\n", group.title.empty() ? "options" : group.title, ":\n", help_table(rows, width));
  }
  rows = {{"--help, -h", impl_->at("help").help}, {"--version", impl_->at("version").help}};
  out += "\n" + help_table(rows, width);
  if (!impl_->footer.empty()) out += "\n" + wrap_text(impl_->footer, 0, width);
  return out;
}

int run_main(std::string_view program, const std::function<int()>& body) {
  const auto print = [&](const char* reason) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: %s\n", std::string(program).c_str(), reason);
  };
  try {
    return body();
  } catch (const UsageError& error) {
    print(error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    print("out of memory");
    return 1;
  } catch (const std::exception& error) {
    print(error.what());
    return 1;
  }
}

}  // namespace kindred
