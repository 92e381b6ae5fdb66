#include "common/base/json.h"

#include <algorithm>
#include <set>

namespace kindred {

namespace {

constexpr int kMaxDepth = 32;
// ordered_json looks a key up by walking over all of them, so the size of an object is bounded too.
constexpr size_t kMaxMembers = 16384;

// "what:line:column" of the byte at which the parser stopped, counted from 1.
std::string position(std::string_view text, size_t byte, std::string_view what) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  return concat(what, ":", lines + 1, ":", before.size() - (before.rfind('\n') + 1));
}

// "[json.exception.parse_error.101] parse error at line 1, column 3: REASON" or "[...] REASON".
std::string_view reason(std::string_view message) {
  if (const size_t code = message.find("] "); code != std::string_view::npos) message.remove_prefix(code + 2);
  if (!message.starts_with("parse error")) return message;
  const size_t colon = message.find(": ");
  return colon == std::string_view::npos ? message : message.substr(colon + 2);
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what) {
  std::vector<std::set<std::string>> open;  // keys seen so far in each object around the present place
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) && depth >= kMaxDepth) {
      fail(what, ": nested deeper than ", kMaxDepth);
    }
    if (event == Event::object_start) open.emplace_back();
    if (event == Event::object_end) open.pop_back();
    if (event == Event::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!open.back().insert(key).second) fail(what, ": the key '", key, "' occurs twice");
      if (open.back().size() > kMaxMembers) fail(what, ": an object has more than ", kMaxMembers, " members");
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::parse_error& error) {
    fail(position(text, error.byte, what), ": ", reason(error.what()));
  } catch (const Json::exception& error) {
    fail(what, ": ", reason(error.what()));
  }
}

std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

namespace detail {

const Json* json_find(const Json& object, std::string_view key, std::string_view what) {
  if (!object.is_object()) fail(what, ": expected a JSON object, found ", object.type_name());
  const auto found = object.find(std::string(key));
  return found == object.end() ? nullptr : &*found;
}

void json_wrong_type(const Json& found, std::string_view key, std::string_view what) {
  // All ASCII, so that cutting it leaves whole characters.
  const std::string text = found.dump(-1, ' ', true, Json::error_handler_t::replace);
  fail(what, ": the key '", key, "' has an unexpected value: ", text.substr(0, 80),
       text.size() > 80 ? "..." : "");
}

}  // namespace detail
}  // namespace kindred
