// A gallery of real pictures: LibreOffice's toolbar icons, drawn by several artists.
#pragma once

#include <string>

namespace kindred {

/// Reads cmd/32/*.png of every images_*.zip in `icon_folder` and writes icons/STYLE/COMMAND.png,
/// icons_gallery.tsv and, of the style with the most icons, icons_query.tsv into `output`. Class = command;
/// commands that fewer than two styles draw are left out, and so are drawings that one style uses for several
/// commands. Throws Error when fewer than two styles are found.
void make_icons(const std::string& output, const std::string& icon_folder);

}  // namespace kindred
