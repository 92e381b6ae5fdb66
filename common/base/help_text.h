// The look of --help: wrapped paragraphs and a two-column table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kindred {

struct HelpRow {
  std::string name;  // "--train.epochs N"
  std::string text;
};

/// Words of `text` in lines of at most `width` characters, each behind `indent` spaces. Line breaks in `text`
/// and the leading spaces of its lines are kept.
std::string wrap_text(std::string_view text, int indent, int width);

/// Two columns; a long name has a line of its own.
std::string help_table(const std::vector<HelpRow>& rows, int width);

/// Columns of the terminal on standard output, between 60 and 120; 80 when it is not a terminal.
int terminal_width();

}  // namespace kindred
