// The gallery in memory: rows in order of addition, a bitmap of removed ones, and the index over them.
// Changes go to the database first; memory follows only when they are durable.
#include "index/gallery.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>  // rename
#include <filesystem>
#include <mutex>
#include <random>
#include <set>
#include <shared_mutex>
#include <unordered_map>
#include <utility>  // exchange

#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/io/file.h"
#include "index/dot.h"
#include "index/gallery_manifest.h"
#include "index/gallery_store.h"
#include "index/vector_index.h"

namespace kindred {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kFewRemoved = 1024;  // removed rows that are never worth making the index afresh
constexpr int64_t kRescored =
    8;  // candidates beyond k: an index's own scores may order near ties differently

std::string database_path(const std::string& folder) { return folder + "/gallery.db"; }
std::string index_path(const std::string& folder) { return folder + "/index.faiss"; }
std::string manifest_path(const std::string& folder) { return folder + "/manifest.json"; }

std::string random_id() {
  std::random_device device;
  return sha256_hex(concat(device(), " ", device(), " ", device(), " ", device())).substr(0, 16);
}

// Makes a finished file durable and gives it its name.
void publish(const std::string& temporary, const std::string& path) {
  const int fd = ::open(temporary.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(temporary, "open");
  const int synced = ::fsync(fd);
  ::close(fd);
  if (synced != 0) fail_errno(temporary, "fsync");
  if (std::rename(temporary.c_str(), path.c_str()) != 0) fail_errno(path, "rename");
  sync_folder(fs::path(path).parent_path().string());
}

bool same_vectors(const VectorIndex& index, std::span<const float> vectors) {
  const auto numbers = static_cast<size_t>(index.size() * index.dim());
  return numbers <= vectors.size() &&
         std::equal(vectors.begin(), vectors.begin() + static_cast<ptrdiff_t>(numbers), index.vectors());
}

// Lets writers through a stream of readers: plain std::shared_mutex on Linux starves them.
class FairSharedMutex {
 public:
  std::shared_lock<std::shared_mutex> read() {
    const std::lock_guard turn(turn_);
    return std::shared_lock(mutex_);
  }
  std::unique_lock<std::shared_mutex> write() {
    const std::lock_guard turn(turn_);
    return std::unique_lock(mutex_);
  }

 private:
  std::mutex turn_;
  std::shared_mutex mutex_;
};

}  // namespace

struct Gallery::Impl {
  Impl(std::string where, GalleryManifest what, GalleryStore how)
      : folder(std::move(where)), manifest(std::move(what)), store(std::move(how)) {
    index = vector_index_registry().get(manifest.info.index_type).make(manifest.info.dim);
  }

  const std::string folder;
  std::mutex writer;              // held by one change from its start to its end: guards store and manifest
  mutable FairSharedMutex guard;  // over everything below
  GalleryManifest manifest;
  GalleryStore store;
  std::unique_ptr<VectorIndex> index;
  std::vector<GalleryItem> items;  // by row; emptied when removed
  std::vector<int64_t> keys;       // by row: the database's key
  std::vector<uint64_t> removed;   // one bit a row
  std::unordered_map<std::string, int64_t> row_of;

  int dim() const { return index->dim(); }
  const float* row(int64_t r) const { return index->vectors() + r * dim(); }

  void append(GalleryItem item, int64_t key) {
    const auto r = static_cast<int64_t>(items.size());
    row_of.emplace(item.id, r);
    items.push_back(std::move(item));
    keys.push_back(key);
    removed.resize(static_cast<size_t>(r / 64 + 1));
  }

  void drop(int64_t r) {
    const auto at = static_cast<size_t>(r);
    row_of.erase(items[at].id);
    items[at] = {};
    removed[at / 64] |= uint64_t{1} << (at % 64);
  }

  /// Reads the database and takes the index file over when it holds the very same vectors.
  void load() {
    std::vector<float> vectors;
    store.read([&](int64_t key, GalleryItem item, std::span<const float> vector) {
      if (row_of.contains(item.id))
        fail(database_path(folder), ": damaged: the id '", item.id, "' is there twice");
      append(std::move(item), key);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    });
    if (index->has_file()) {
      const std::string why = load_index(vectors);
      if (why.empty()) return;
      log_info(folder, ": building the index '", manifest.info.index_type, "' over ", items.size(),
               " items: ", why);
      index = vector_index_registry().get(manifest.info.index_type).make(dim());
    }
    index->add(vectors);
  }

  /// "" when the index file was loaded, and the rows that it lacks were added; else why it cannot be used.
  std::string load_index(std::span<const float> vectors) {
    const std::string path = index_path(folder);
    if (manifest.index_sha256.empty()) return "no index was saved yet";
    if (!fs::exists(path)) return concat(path, " is missing");
    if (sha256_file(path) != manifest.index_sha256) return concat(path, " does not match its checksum");
    index->load(path);
    const int64_t known = index->size();
    const auto numbers = static_cast<size_t>(known * dim());
    if (numbers > vectors.size() ||
        std::memcmp(index->vectors(), vectors.data(), numbers * sizeof(float)) != 0)
      return concat(path, " is older than the last removal");
    if (numbers < vectors.size()) {
      log_info(folder, ": adding ", static_cast<int64_t>(items.size()) - known,
               " new items to the saved index");
      index->add(vectors.subspan(numbers));
    }
    return "";
  }

  int64_t alive() const { return static_cast<int64_t>(row_of.size()); }

  std::vector<int64_t> alive_rows() const {
    std::vector<int64_t> rows;
    for (int64_t r = 0; r < static_cast<int64_t>(items.size()); ++r)
      if (!is_removed(removed, r)) rows.push_back(r);
    return rows;
  }

  /// Makes index and rows afresh without the removed ones. Readers go on with the old ones until the new are
  /// there. Requires: `writer` is held, `guard` is not.
  void compact() {
    const std::vector<int64_t> rows = alive_rows();
    auto dense = vector_index_registry().get(manifest.info.index_type).make(dim());
    dense->add(alive_vectors());
    const auto lock = guard.write();
    index = std::move(dense);
    std::vector<GalleryItem> old_items = std::exchange(items, {});
    const std::vector<int64_t> old_keys = std::exchange(keys, {});
    removed.clear();
    row_of.clear();
    for (const int64_t r : rows)
      append(std::move(old_items[static_cast<size_t>(r)]), old_keys[static_cast<size_t>(r)]);
  }

  int64_t removed_count() const { return static_cast<int64_t>(items.size()) - alive(); }

  /// Keeps searching fast where items come and go: at most a fifth of the rows are removed ones.
  void compact_when_sparse() {
    if (removed_count() > std::max(kFewRemoved, alive() / 4)) compact();
  }

  std::vector<float> alive_vectors() const {
    std::vector<float> out;
    out.reserve(static_cast<size_t>(alive() * dim()));
    for (const int64_t r : alive_rows()) out.insert(out.end(), row(r), row(r) + dim());
    return out;
  }
};

Gallery::Gallery(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gallery::Gallery(Gallery&&) noexcept = default;
Gallery::~Gallery() = default;

Gallery Gallery::create(const std::string& folder, const GalleryInfo& info) {
  if (info.dim < 1) fail(folder, ": a gallery needs vectors of at least one number, got dim ", info.dim);
  vector_index_registry().get(info.index_type).make(info.dim);  // throws before anything is written
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(folder, ": cannot be created: ", error.message());
  if (!fs::is_empty(folder))
    fail(folder, ": exists and is not empty; remove it, or add to it with 'kindred-index add'");

  GalleryManifest manifest{info, random_id(), ""};
  manifest.info.items = 0;
  manifest.info.thresholds.clear();
  GalleryStore store = GalleryStore::create(database_path(folder), manifest.gallery_id, info.dim);
  write_manifest(manifest_path(folder), manifest);  // last: a folder with a manifest is a gallery
  return Gallery(std::make_unique<Impl>(folder, std::move(manifest), std::move(store)));
}

Gallery Gallery::open(const std::string& folder, std::string_view model_id) {
  if (!fs::is_directory(folder))
    fail(folder, ": is no folder; a gallery is one made by 'kindred-index build'");
  GalleryManifest manifest = read_manifest(manifest_path(folder));
  if (!model_id.empty() && model_id != manifest.info.model_id)
    fail(folder, ": built for model ", manifest.info.model_id, ", the embedder is ", model_id,
         "; rebuild it with 'kindred-index build'");
  GalleryStore store = GalleryStore::open(database_path(folder), manifest.gallery_id, manifest.info.dim);
  auto impl = std::make_unique<Impl>(folder, std::move(manifest), std::move(store));
  impl->load();
  return Gallery(std::move(impl));
}

GalleryInfo Gallery::info() const {
  const auto lock = impl_->guard.read();
  GalleryInfo info = impl_->manifest.info;
  info.items = impl_->alive();
  return info;
}

const std::string& Gallery::folder() const { return impl_->folder; }

void Gallery::add(std::span<const GalleryItem> items, std::span<const float> vectors) {
  Impl& self = *impl_;
  const auto dim = static_cast<size_t>(self.dim());
  if (vectors.size() != items.size() * dim)
    fail(self.folder, ": ", items.size(), " items need ", items.size(), " x ", dim, " numbers, got ",
         vectors.size());
  for (const GalleryItem& item : items) check_item(item);
  check_unit_rows(vectors, self.dim(), self.folder);

  // Of an id given twice the last one stays.
  std::set<std::string_view> seen;
  std::vector<size_t> kept;
  for (size_t i = items.size(); i-- > 0;)
    if (seen.insert(items[i].id).second) kept.push_back(i);
  std::reverse(kept.begin(), kept.end());
  std::vector<GalleryItem> fresh;
  std::vector<float> fresh_vectors;
  for (const size_t i : kept) {
    fresh.push_back(items[i]);
    fresh_vectors.insert(fresh_vectors.end(), vectors.begin() + static_cast<ptrdiff_t>(i * dim),
                         vectors.begin() + static_cast<ptrdiff_t>((i + 1) * dim));
  }

  const std::lock_guard turn(self.writer);
  std::vector<int64_t> old_rows, old_keys;  // only this thread changes them now: reading needs no lock
  for (const GalleryItem& item : fresh)
    if (const auto found = self.row_of.find(item.id); found != self.row_of.end()) {
      old_rows.push_back(found->second);
      old_keys.push_back(self.keys[static_cast<size_t>(found->second)]);
    }
  const std::vector<int64_t> keys = self.store.replace(old_keys, fresh, fresh_vectors);

  {
    const auto lock = self.guard.write();
    for (const int64_t row : old_rows) self.drop(row);
    self.index->add(fresh_vectors);
    for (size_t i = 0; i < fresh.size(); ++i) self.append(std::move(fresh[i]), keys[i]);
  }
  self.compact_when_sparse();
}

int64_t Gallery::remove(std::span<const std::string> ids) {
  Impl& self = *impl_;
  const std::lock_guard turn(self.writer);
  std::set<int64_t> rows;
  for (const std::string& id : ids)
    if (const auto found = self.row_of.find(id); found != self.row_of.end()) rows.insert(found->second);
  if (rows.empty()) return 0;
  std::vector<int64_t> keys;
  for (const int64_t row : rows) keys.push_back(self.keys[static_cast<size_t>(row)]);
  self.store.replace(keys, {}, {});

  {
    const auto lock = self.guard.write();
    for (const int64_t row : rows) self.drop(row);
  }
  self.compact_when_sparse();
  return static_cast<int64_t>(rows.size());
}

std::optional<GalleryItem> Gallery::find(std::string_view id) const {
  const auto lock = impl_->guard.read();
  const auto found = impl_->row_of.find(std::string(id));
  if (found == impl_->row_of.end()) return std::nullopt;
  return impl_->items[static_cast<size_t>(found->second)];
}

std::optional<std::vector<float>> Gallery::find_vector(std::string_view id) const {
  const auto lock = impl_->guard.read();
  const auto found = impl_->row_of.find(std::string(id));
  if (found == impl_->row_of.end()) return std::nullopt;
  const float* row = impl_->row(found->second);
  return std::vector<float>(row, row + impl_->dim());
}

std::vector<std::vector<GalleryHit>> Gallery::search(std::span<const float> queries, int k) const {
  const Impl& self = *impl_;
  const auto lock = self.guard.read();
  const int dim = self.dim();
  if (k < 1) fail(self.folder, ": asked for ", k, " results, expected at least 1");
  check_unit_rows(queries, dim, "query");
  const auto n = static_cast<int64_t>(queries.size()) / dim;
  const int64_t wanted = std::min<int64_t>(k, self.alive());
  const auto fetched = static_cast<int>(std::min(wanted + kRescored, self.alive()));
  std::vector<std::vector<GalleryHit>> hits(static_cast<size_t>(n));
  if (fetched == 0 || n == 0) return hits;

  std::vector<float> scores(static_cast<size_t>(n * fetched));
  std::vector<int64_t> rows(scores.size());
  self.index->search(queries, fetched,
                     self.removed_count() > 0 ? std::span(self.removed) : std::span<const uint64_t>{},
                     scores.data(), rows.data());
  std::vector<std::pair<float, int64_t>> nearest;  // (-score, row): sorts nearest first, ties by age
  for (int64_t q = 0; q < n; ++q) {
    nearest.clear();
    for (int64_t i = q * fetched; i < (q + 1) * fetched; ++i)
      if (const int64_t row = rows[static_cast<size_t>(i)]; row >= 0)
        nearest.emplace_back(-dot(queries.data() + q * dim, self.row(row), dim), row);
    std::sort(nearest.begin(), nearest.end());
    nearest.resize(std::min(nearest.size(), static_cast<size_t>(wanted)));
    for (const auto& [negated, row] : nearest)
      hits[static_cast<size_t>(q)].push_back(
          {self.items[static_cast<size_t>(row)], std::clamp(-negated, -1.0f, 1.0f)});
  }
  return hits;
}

std::vector<GalleryItem> Gallery::items() const {
  const auto lock = impl_->guard.read();
  std::vector<GalleryItem> out;
  for (const int64_t row : impl_->alive_rows()) out.push_back(impl_->items[static_cast<size_t>(row)]);
  return out;
}

std::vector<float> Gallery::vectors() const {
  const auto lock = impl_->guard.read();
  return impl_->alive_vectors();
}

void Gallery::set_thresholds(std::vector<CalibratedThreshold> thresholds) {
  Impl& self = *impl_;
  const std::lock_guard turn(self.writer);
  GalleryManifest manifest = self.manifest;
  manifest.info.thresholds = std::move(thresholds);
  write_manifest(manifest_path(self.folder), manifest);
  const auto lock = self.guard.write();
  self.manifest = std::move(manifest);
}

void Gallery::save_index() {
  Impl& self = *impl_;
  const std::lock_guard turn(self.writer);
  GalleryManifest manifest = self.manifest;
  manifest.info.items = self.alive();
  manifest.index_sha256.clear();
  if (self.index->has_file()) {
    if (self.removed_count() > 0)
      self.compact();  // after a restart rows are numbered without the removed ones
    const std::string path = index_path(self.folder), temporary = path + ".tmp";
    self.index->save(temporary);
    manifest.index_sha256 = sha256_file(temporary);
    publish(temporary, path);
  }
  write_manifest(manifest_path(self.folder),
                 manifest);  // a crash before this line: the checksum differs, we rebuild
  const auto lock = self.guard.write();
  self.manifest = std::move(manifest);
}

void Gallery::verify() const {
  const Impl& self = *impl_;
  const std::string& folder = self.folder;
  const GalleryManifest manifest = read_manifest(manifest_path(folder));
  const GalleryStore store =
      GalleryStore::open(database_path(folder), manifest.gallery_id, manifest.info.dim);
  store.check_integrity();
  std::vector<float> vectors;
  int64_t count = 0;
  store.read([&](int64_t, const GalleryItem& item, std::span<const float> vector) {
    ++count;
    check_item(item);
    check_unit_rows(vector, manifest.info.dim, concat(database_path(folder), ": item '", item.id, "'"));
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  });
  if (manifest.index_sha256.empty()) return;
  const std::string path = index_path(folder);
  constexpr const char* kRepair = "; repair it with 'kindred-index verify --repair'";
  if (!fs::exists(path)) fail(path, ": is missing", kRepair);
  if (const std::string found = sha256_file(path); found != manifest.index_sha256)
    fail(path, ": damaged: its SHA-256 is ", found, ", the manifest says ", manifest.index_sha256, kRepair);
  const auto index = vector_index_registry().get(manifest.info.index_type).make(manifest.info.dim);
  index->load(path);
  if (index->size() != count || !same_vectors(*index, vectors))
    log_warning(path, ": is older than gallery.db; the next opening brings it up to date");
}

}  // namespace kindred
