#include "common/base/ini.h"

#include "common/base/error.h"

namespace kindred {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_comment(char c) { return c == '#' || c == ';'; }

// Cuts " # comment". A '#' inside a word belongs to the word.
std::string_view without_comment(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_comment(text[i]) && (i == 0 || is_space(text[i - 1]))) return text.substr(0, i);
  }
  return text;
}

std::string unquote(std::string_view text, std::string_view where) {
  std::string out;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      if (const std::string_view rest = trim(without_comment(text.substr(i + 1))); !rest.empty()) {
        fail_usage(where, ": expected nothing behind the closing quote, found '", rest, "'");
      }
      return out;
    }
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) break;
    switch (text[i]) {
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case '0':
        out += '\0';
        break;
      case '"':
      case '\\':
        out += text[i];
        break;
      default:
        fail_usage(where, ": unknown escape '\\", text[i], "' (known: \\n \\r \\t \\0 \\\" \\\\)");
    }
  }
  fail_usage(where, ": the closing quote is missing");
}

std::string checked_name(std::string_view name, std::string_view where, std::string_view kind) {
  if (name.empty()) fail_usage(where, ": the ", kind, " is empty");
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '_' && c != '-' && c != '.') {
      fail_usage(where, ": '", name, "' cannot be a ", kind, "; use letters, digits, '_', '-' and '.'");
    }
  }
  return std::string(name);
}

}  // namespace

std::vector<IniEntry> parse_ini(std::string_view text, std::string_view name) {
  std::vector<IniEntry> entries;
  std::string section;
  int line_number = 0;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // byte order mark of some editors
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string where = concat(name, ":", ++line_number);
    if (line.empty() || is_comment(line[0])) continue;
    if (line[0] == '[') {
      const std::string_view header = trim(without_comment(line));
      if (header.back() != ']') fail_usage(where, ": expected '[section]', found '", header, "'");
      section = checked_name(trim(header.substr(1, header.size() - 2)), where, "section name") + ".";
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) fail_usage(where, ": expected 'key = value', found '", line, "'");
    const std::string key = checked_name(trim(line.substr(0, equals)), where, "key");
    const std::string_view raw = trim(line.substr(equals + 1));
    std::string value = raw.starts_with('"')
                            ? unquote(raw, where)
                            // One space in front, so that "key = # nothing" has an empty value.
                            : std::string(trim(without_comment(concat(" ", raw))));
    entries.push_back({section + key, std::move(value), line_number});
  }
  return entries;
}

std::string ini_value_text(std::string_view value) {
  const bool plain = value.find_first_of("\"\\#;\n\r\t\f\v") == std::string_view::npos &&
                     value.find('\0') == std::string_view::npos && trim(value) == value;
  if (plain) return std::string(value);
  std::string out = "\"";
  for (const char c : value) {
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\0':
        out += "\\0";
        break;
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        out += c;
    }
  }
  return out + '"';
}

}  // namespace kindred
