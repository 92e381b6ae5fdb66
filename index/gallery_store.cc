#include "index/gallery_store.h"

#include <sqlite3.h>
#include <unistd.h>  // access

#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/base/hash.h"

namespace kindred {

namespace {

constexpr int kFormat = 1;
constexpr int kApplicationId = 0x4b494e44;  // "KIND" in the file's header, for file(1)
constexpr int kBusyMs = 5000;               // how long to wait for another process's transaction

// AUTOINCREMENT: a key is never used twice, so that "the same keys" means "the same rows".
constexpr const char* kSchema[] = {
    "CREATE TABLE facts (gallery_id TEXT NOT NULL, dim INTEGER NOT NULL, items INTEGER NOT NULL)",
    "CREATE TABLE items (key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, uri TEXT NOT NULL, "
    "label TEXT NOT NULL, metadata TEXT NOT NULL, content_hash TEXT NOT NULL, vector BLOB NOT NULL, "
    "crc32c INTEGER NOT NULL)"};

constexpr const char* kRepair =
    "; restore it from a backup, or build the gallery again with 'kindred-index build'";

// A prepared statement: bind, step, read columns.
class Statement {
 public:
  Statement(sqlite3* db, const std::string& path, std::string_view sql) : db_(db), path_(path) {
    check(sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr));
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void bind(int i, int64_t value) { check(sqlite3_bind_int64(statement_, i, value)); }
  void bind(int i, std::string_view text) {
    check(sqlite3_bind_text64(statement_, i, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void bind(int i, std::span<const float> values) {
    check(sqlite3_bind_blob64(statement_, i, values.data(), values.size_bytes(), SQLITE_STATIC));
  }
  /// True when there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) check(code);
    return code == SQLITE_ROW;
  }
  void run() {
    step();
    check(sqlite3_reset(statement_));
  }
  int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
  std::string_view bytes(int column) {
    const void* data = sqlite3_column_blob(statement_, column);
    return {static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
  }
  std::string text(int column) { return std::string(bytes(column)); }

 private:
  void check(int code) const {
    if (code == SQLITE_OK) return;
    const bool damaged = (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
    fail(path_, ": ", damaged ? "damaged: " : "", sqlite3_errmsg(db_), damaged ? kRepair : "");
  }

  sqlite3* db_;
  const std::string& path_;
  sqlite3_stmt* statement_ = nullptr;
};

uint32_t row_checksum(const GalleryItem& item, std::string_view metadata, std::string_view vector) {
  std::string content;
  for (const std::string_view part :
       {std::string_view(item.id), std::string_view(item.uri), std::string_view(item.label), metadata,
        std::string_view(item.content_hash), vector}) {
    const uint64_t length = part.size();  // lengths in between: moving a byte to the next field is seen
    content.append(reinterpret_cast<const char*>(&length), sizeof length);
    content.append(part);
  }
  return crc32c(content);
}

}  // namespace

struct GalleryStore::Impl {
  std::string path;
  int dim = 0;
  int64_t data_version = 0;  // SQLite's count of changes by other connections
  bool checked = false;      // the file's structure was found sound: writing into a damaged one destroys more
  sqlite3* db = nullptr;

  Impl(std::string file, int dimension, int flags, bool immutable) : path(std::move(file)), dim(dimension) {
    // A path in a URI: '%', '?' and '#' have a meaning there.
    std::string uri = "file:";
    for (const char c : std::filesystem::absolute(path).string())
      uri += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
    if (immutable) uri += "?immutable=1";
    const int code =
        sqlite3_open_v2(uri.c_str(), &db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
    if (code != SQLITE_OK) {
      const std::string reason = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
      sqlite3_close(db);
      fail(path, ": cannot be opened: ", reason);
    }
    sqlite3_busy_timeout(db, kBusyMs);
    // The file may be hostile: run nothing that it holds (triggers, views, functions), check cells while
    // reading.
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  }
  ~Impl() { sqlite3_close(db); }

  Statement prepare(std::string_view sql) const { return Statement(db, path, sql); }
  void run(std::string_view sql) const { prepare(sql).run(); }
  int64_t pragma(std::string_view name) const {
    Statement statement = prepare(concat("PRAGMA ", name));
    return statement.step() ? statement.integer(0) : 0;
  }

  /// SQLite notices a missing page when it is read, which may be much later. Pages may still lie in a
  /// journal.
  void check_length() const {
    std::error_code none;
    if (const auto journal = std::filesystem::file_size(path + "-wal", none); !none && journal > 0) return;
    const int64_t found = static_cast<int64_t>(std::filesystem::file_size(path));
    if (const int64_t expected = pragma("page_size") * header_pages(); found < expected)
      fail(path, ": cut short: has ", found, " bytes, its header says ", expected, kRepair);
  }
  /// The database's size in pages by its header: bytes 28 to 31, big-endian (SQLite file format,
  /// section 1.3.7).
  int64_t header_pages() const {
    std::ifstream file(path, std::ios::binary);
    unsigned char bytes[4] = {};
    file.seekg(28);
    file.read(reinterpret_cast<char*>(bytes), 4);
    return int64_t{bytes[0]} << 24 | int64_t{bytes[1]} << 16 | int64_t{bytes[2]} << 8 | bytes[3];
  }

  void check_schema() const {
    if (pragma("application_id") != kApplicationId) fail(path, ": is not a Kindred gallery");
    if (const int64_t format = pragma("user_version"); format != kFormat)
      fail(path, ": has format ", format, ", this program reads format ", kFormat, "; use a newer Kindred");
    size_t found = 0;
    Statement statement =
        prepare("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name");
    while (statement.step())
      if (found == std::size(kSchema) || statement.bytes(0) != kSchema[found++])
        fail(path, ": damaged: its tables are not those of a gallery", kRepair);
    if (found != std::size(kSchema)) fail(path, ": damaged: a table is missing", kRepair);
  }

  void check_facts(const std::string& gallery_id) const {
    Statement facts = prepare("SELECT gallery_id, dim FROM facts");
    if (!facts.step()) fail(path, ": damaged: the table of facts is empty", kRepair);
    if (facts.bytes(0) != gallery_id)
      fail(path, ": belongs to gallery ", facts.bytes(0), ", the manifest beside it to ", gallery_id);
    if (facts.integer(1) != dim)
      fail(path, ": holds vectors of ", facts.integer(1), " numbers, the manifest says ", dim);
  }
};

GalleryStore::GalleryStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GalleryStore::GalleryStore(GalleryStore&&) noexcept = default;
GalleryStore::~GalleryStore() = default;

GalleryStore GalleryStore::create(const std::string& path, const std::string& gallery_id, int dim) {
  if (std::filesystem::exists(path)) fail(path, ": exists already");
  auto impl = std::make_unique<Impl>(path, dim, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false);
  impl->run("PRAGMA page_size = 16384");  // a 512-dimensional row is 2.3 KB: smaller pages are half empty
  impl->run("PRAGMA journal_mode = WAL");
  impl->run("PRAGMA synchronous = FULL");
  impl->run("BEGIN IMMEDIATE");
  impl->run(concat("PRAGMA application_id = ", kApplicationId));
  impl->run(concat("PRAGMA user_version = ", kFormat));
  for (const char* table : kSchema) impl->run(table);
  Statement facts = impl->prepare("INSERT INTO facts VALUES (?, ?, 0)");
  facts.bind(1, gallery_id);
  facts.bind(2, int64_t{dim});
  facts.run();
  impl->run("COMMIT");
  impl->data_version = impl->pragma("data_version");
  impl->checked = true;
  return GalleryStore(std::move(impl));
}

GalleryStore GalleryStore::open(const std::string& path, const std::string& gallery_id, int dim) {
  if (!std::filesystem::is_regular_file(path)) fail(path, ": is missing", kRepair);
  const std::string folder = std::filesystem::absolute(path).parent_path().string();
  const bool writable = ::access(folder.c_str(), W_OK) == 0 && ::access(path.c_str(), W_OK) == 0;
  // A journal that nobody has folded in yet needs the ordinary way of reading, which writes beside the file.
  const bool immutable = !writable && !std::filesystem::exists(path + "-wal");
  auto impl =
      std::make_unique<Impl>(path, dim, writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, immutable);
  impl->run("PRAGMA cell_size_check = ON");
  impl->check_length();
  impl->check_schema();
  if (writable) impl->run("PRAGMA synchronous = FULL");
  impl->check_facts(gallery_id);
  return GalleryStore(std::move(impl));
}

void GalleryStore::read(
    const std::function<void(int64_t key, GalleryItem item, std::span<const float> vector)>& visit) const {
  const Impl& self = *impl_;
  const size_t vector_bytes = sizeof(float) * static_cast<size_t>(self.dim);
  std::vector<float> vector(static_cast<size_t>(self.dim));  // a blob's address has no alignment
  self.run("BEGIN");                                         // one state, however long the reading takes
  impl_->data_version = self.pragma("data_version");
  try {
    int64_t count = 0;
    Statement rows = self.prepare(
        "SELECT key, id, uri, label, metadata, content_hash, vector, crc32c FROM items ORDER BY key");
    for (; rows.step(); ++count) {
      const int64_t key = rows.integer(0);
      GalleryItem item{rows.text(1), rows.text(2), rows.text(3), nullptr, rows.text(5)};
      const std::string_view metadata = rows.bytes(4), blob = rows.bytes(6);
      if (row_checksum(item, metadata, blob) != rows.integer(7))
        fail(self.path, ": damaged: the checksum of item '", item.id, "' (key ", key, ") does not match",
             kRepair);
      if (blob.size() != vector_bytes)
        fail(self.path, ": damaged: the vector of item '", item.id, "' has ", blob.size(),
             " bytes, expected ", vector_bytes, kRepair);
      item.metadata = parse_json(metadata, concat(self.path, ": metadata of item '", item.id, "'"));
      std::memcpy(vector.data(), blob.data(), vector_bytes);
      visit(key, std::move(item), vector);
    }
    Statement facts = self.prepare("SELECT items FROM facts");
    if (!facts.step() || facts.integer(0) != count)
      fail(self.path, ": damaged: holds ", count, " items, its own count is ", facts.integer(0), kRepair);
  } catch (...) {
    sqlite3_exec(self.db, "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
  self.run("COMMIT");
}

std::vector<int64_t> GalleryStore::replace(std::span<const int64_t> old_keys,
                                           std::span<const GalleryItem> items,
                                           std::span<const float> vectors) {
  const Impl& self = *impl_;
  const auto dim = static_cast<size_t>(self.dim);
  if (!self.checked) check_integrity();
  std::vector<int64_t> keys;
  keys.reserve(items.size());
  self.run("BEGIN IMMEDIATE");
  try {
    if (self.pragma("data_version") != self.data_version)
      fail(self.path, ": was changed by another process since it was opened; open the gallery again");
    Statement remove = self.prepare("DELETE FROM items WHERE key = ?");
    for (const int64_t key : old_keys) {
      remove.bind(1, key);
      remove.run();
    }
    Statement insert = self.prepare(
        "INSERT INTO items (id, uri, label, metadata, content_hash, vector, crc32c) VALUES (?, ?, ?, ?, ?, "
        "?, ?)");
    for (size_t i = 0; i < items.size(); ++i) {
      const GalleryItem& item = items[i];
      const std::span<const float> vector = vectors.subspan(i * dim, dim);
      const std::string metadata = item.metadata.dump();
      insert.bind(1, item.id);
      insert.bind(2, item.uri);
      insert.bind(3, item.label);
      insert.bind(4, metadata);
      insert.bind(5, item.content_hash);
      insert.bind(6, vector);
      insert.bind(7,
                  int64_t{row_checksum(item, metadata,
                                       {reinterpret_cast<const char*>(vector.data()), vector.size_bytes()})});
      insert.run();
      keys.push_back(sqlite3_last_insert_rowid(self.db));
    }
    Statement count = self.prepare("UPDATE facts SET items = items + ?");
    count.bind(1, static_cast<int64_t>(items.size()) - static_cast<int64_t>(old_keys.size()));
    count.run();
    self.run("COMMIT");
  } catch (...) {
    sqlite3_exec(self.db, "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
  return keys;
}

void GalleryStore::check_integrity() const {
  Statement check = impl_->prepare("PRAGMA integrity_check(1)");
  const std::string finding = check.step() ? check.text(0) : "no answer";
  if (finding != "ok") fail(impl_->path, ": damaged: ", finding, kRepair);
  impl_->checked = true;
}

}  // namespace kindred
