#include "common/base/help_text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/text.h"

namespace kindred {

std::string wrap_text(std::string_view text, int indent, int width) {
  std::string out;
  for (const std::string& paragraph : split(text, '\n')) {
    const size_t lead = std::min(paragraph.find_first_not_of(' '), paragraph.size());
    const std::string margin(static_cast<size_t>(indent) + lead, ' ');
    std::string line;
    for (const std::string& word : split_words(paragraph)) {
      const size_t needed = (line.empty() ? margin.size() : line.size() + 1) + word.size();
      if (!line.empty() && needed > static_cast<size_t>(width)) {
        out += line + '\n';
        line.clear();
      }
      line += (line.empty() ? margin : " ") + word;
    }
    out += line + '\n';
  }
  return out;
}

std::string help_table(const std::vector<HelpRow>& rows, int width) {
  constexpr size_t kWidestName = 30;
  size_t column = 0;
  for (const HelpRow& row : rows) {
    if (row.name.size() <= kWidestName) column = std::max(column, row.name.size());
  }
  column += 4;  // two spaces on either side
  std::string out;
  for (const HelpRow& row : rows) {
    std::string text = wrap_text(row.text, static_cast<int>(column), width);
    std::string name = "  " + row.name;
    if (name.size() + 2 <= column) {
      out += text.replace(0, name.size(), name);
    } else {
      out += name + '\n' + text;
    }
  }
  return out;
}

int terminal_width() {
  winsize size{};
  if (::isatty(STDOUT_FILENO) && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return std::clamp<int>(size.ws_col, 60, 120);
  }
  return 80;
}

}  // namespace kindred
