#include "common/base/option_value.h"

#include <charconv>

#include "common/base/error.h"

namespace kindred {

namespace {

using List = std::vector<std::string>;

// Shortest text that reads back to the same number.
std::string exact_text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

// What the wrong type is called in messages, by index in the variant.
[[noreturn]] void expected(const OptionVariant& value, const std::string& text, std::string_view what) {
  constexpr std::string_view kKinds[] = {"true or false", "a whole number", "a number"};
  fail_usage(what, " expects ", kKinds[value.index()], "; got '", text, "'");
}

}  // namespace

void read_option_value(OptionVariant& value, const std::string& text, std::string_view what) {
  if (auto* list = std::get_if<List>(&value)) {
    list->push_back(text);
  } else if (auto* word = std::get_if<std::string>(&value)) {
    *word = text;
  } else if (auto* flag = std::get_if<bool>(&value)) {
    *flag = text == "true" || text == "on" || text == "yes" || text == "1";
    if (!*flag && text != "false" && text != "off" && text != "no" && text != "0")
      expected(value, text, what);
  } else {
    try {
      if (auto* whole = std::get_if<int64_t>(&value)) *whole = parse_int(text, what);
      if (auto* number = std::get_if<double>(&value)) *number = parse_double(text, what);
    } catch (const Error&) {
      expected(value, text, what);
    }
  }
}

std::string option_value_text(const OptionVariant& value) {
  if (const auto* list = std::get_if<List>(&value)) return join(*list);
  if (const auto* word = std::get_if<std::string>(&value)) return *word;
  if (const auto* number = std::get_if<double>(&value)) return exact_text(*number);
  if (const auto* whole = std::get_if<int64_t>(&value)) return concat(*whole);
  return std::get<bool>(value) ? "true" : "false";
}

std::string_view option_placeholder(const OptionVariant& value) {
  constexpr std::string_view kWords[] = {"", " N", " X", " TEXT", " TEXT ..."};
  return kWords[value.index()];
}

}  // namespace kindred
