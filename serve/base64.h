// Bytes as text. Source: RFC 4648 section 4.
#pragma once

#include <string>
#include <string_view>

namespace kindred {

/// Padding may be left out; anything else that is not canonical throws Problem 400 naming `what`.
std::string decode_base64(std::string_view text, std::string_view what);
std::string encode_base64(std::string_view bytes);

}  // namespace kindred
