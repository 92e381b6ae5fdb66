// INI text, as config files are written: sections, `key = value` lines, comments. Keeps line numbers for
// messages.
//
//     # a comment
//     [train]
//     epochs = 12        # so is this: '#' or ';' after white space
//     note = "quotes keep spaces, # and \n"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kindred {

struct IniEntry {
  std::string key;  // "section.key", or "key" above the first section
  std::string value;
  int line = 0;  // from 1
};

/// The entries in file order. Throws UsageError "name:line: reason" on anything that is not INI.
std::vector<IniEntry> parse_ini(std::string_view text, std::string_view name);

/// `value` as it must stand behind '=' so that parse_ini reads it back; quoted only where needed.
std::string ini_value_text(std::string_view value);

}  // namespace kindred
