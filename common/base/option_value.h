// What an option holds, and its way from text and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kindred {

/// A switch, a whole number, a number, a text, or a list of texts.
using OptionVariant = std::variant<bool, int64_t, double, std::string, std::vector<std::string>>;

/// Replaces `value` by what `text` says, keeping its type; a list gets one element more.
/// Throws UsageError "what expects a whole number; got 'ten'".
void read_option_value(OptionVariant& value, const std::string& text, std::string_view what);

/// The value as read_option_value reads it; a list with commas, for people.
std::string option_value_text(const OptionVariant& value);

/// What stands behind the name in --help: " N" for a whole number, nothing for a switch.
std::string_view option_placeholder(const OptionVariant& value);

}  // namespace kindred
