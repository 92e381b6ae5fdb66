#include "trainer/data/loader.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/image/decode.h"
#include "common/image/preprocess.h"

namespace kindred {
namespace {

constexpr uint64_t kReplacement = 0x7265'706c'6163'6500;  // last part of the random key
// JPEG may be decoded smaller as long as this many pixels per output pixel remain: crops must not get
// blurred.
constexpr int kSpareResolution = 2;

}  // namespace

struct Loader::Impl {
  /// A batch that is being filled. Its rows are handed out one by one.
  struct Filling {
    Batch batch;
    int64_t rows_left = 0;
  };
  struct Ticket {
    Filling* filling;
    int64_t row;
  };

  Impl(const Dataset& all, const PkSampler& order, std::vector<std::unique_ptr<Transform>> steps,
       LoaderOptions loading, int own_rank);
  ~Impl();

  void work();
  std::optional<Ticket> take_ticket();
  void fill_row(Batch& batch, int64_t row);
  Image load_or_replace(int64_t& id);
  std::optional<Image> try_load(int64_t id);
  void note_broken(int64_t id, const Error& error);

  const Dataset& dataset;
  const PkSampler& sampler;
  const std::vector<std::unique_ptr<Transform>> transforms;
  const LoaderOptions options;
  const int rank;
  std::vector<std::vector<int64_t>> by_class;
  DecodeLimits limits;

  std::mutex mutex;  // of everything below
  std::condition_variable room, filled;
  std::deque<std::unique_ptr<Filling>> ring;  // oldest first; the last may still have rows to hand out
  int64_t rows_handed_out = 0;                // of ring.back()
  int64_t epoch = 0, step = 0;                // of the batch planned next
  std::set<int64_t> broken;
  std::vector<Image> cache;  // [items] when asked for; an entry never changes once it is filled
  int64_t cached_bytes = 0;
  std::exception_ptr failure;
  bool stopping = false;
  double wait_seconds = 0;

  std::vector<std::thread> workers;
};

Loader::Impl::Impl(const Dataset& all, const PkSampler& order, std::vector<std::unique_ptr<Transform>> steps,
                   LoaderOptions loading, int own_rank)
    : dataset(all),
      sampler(order),
      transforms(std::move(steps)),
      options(loading),
      rank(own_rank),
      by_class(all.class_names.size()),
      cache(loading.cache ? all.items.size() : 0) {
  KINDRED_ASSERT(options.workers >= 1 && options.depth >= 1);
  for (size_t i = 0; i < dataset.items.size(); ++i) {
    by_class[static_cast<size_t>(dataset.items[i].label)].push_back(static_cast<int64_t>(i));
  }
  limits.min_short_side = kSpareResolution * std::max(options.image.width, options.image.height);
}

Loader::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  room.notify_all();
  for (std::thread& worker : workers) worker.join();
}

void Loader::Impl::work() {
  try {
    while (const std::optional<Ticket> ticket = take_ticket()) {
      fill_row(ticket->filling->batch, ticket->row);
      const std::lock_guard lock(mutex);
      if (--ticket->filling->rows_left == 0) filled.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    if (!failure) failure = std::current_exception();
    stopping = true;
    room.notify_all();
    filled.notify_all();
  }
}

/// Waits for a row to fill; nothing when the loader stops. Plans the next batch when all rows are handed out.
std::optional<Loader::Impl::Ticket> Loader::Impl::take_ticket() {
  std::unique_lock lock(mutex);
  const auto has_rows = [&] {
    return !ring.empty() && rows_handed_out < static_cast<int64_t>(ring.back()->batch.sample_ids.size());
  };
  room.wait(lock, [&] { return stopping || has_rows() || ring.size() < static_cast<size_t>(options.depth); });
  if (stopping) return std::nullopt;
  if (!has_rows()) {
    auto filling = std::make_unique<Filling>();
    Batch& batch = filling->batch;
    batch.epoch = epoch;
    batch.step = step;
    batch.sample_ids = sampler.batch(epoch, step, rank);
    const auto rows = static_cast<int64_t>(batch.sample_ids.size());
    for (const int64_t id : batch.sample_ids) {
      batch.labels.push_back(dataset.items[static_cast<size_t>(id)].label);
    }
    batch.images = Tensor({rows, options.image.height, options.image.width, options.image.channels});
    filling->rows_left = rows;
    ring.push_back(std::move(filling));
    rows_handed_out = 0;
    if (++step == sampler.steps_per_epoch()) ++epoch, step = 0;
    room.notify_all();  // there are rows for the other workers too
  }
  return Ticket{ring.back().get(), rows_handed_out++};
}

void Loader::Impl::fill_row(Batch& batch, int64_t row) {
  int64_t& id = batch.sample_ids[static_cast<size_t>(row)];
  Image image = load_or_replace(id);
  Random random(options.seed, {static_cast<uint64_t>(batch.epoch), static_cast<uint64_t>(id), 0});
  for (const auto& transform : transforms) transform->apply(image, random);
  KINDRED_ASSERT(image.width == options.image.width && image.height == options.image.height);
  normalize(image, options.image, batch.images.slice(row, 1).f32());
}

/// The picture `id`, or else another of its class, whose id is written to `id`.
Image Loader::Impl::load_or_replace(int64_t& id) {
  if (std::optional<Image> image = try_load(id)) return *std::move(image);
  const DataItem& item = dataset.items[static_cast<size_t>(id)];
  std::vector<int64_t> others = by_class[static_cast<size_t>(item.label)];
  std::erase(others, id);
  Random random(options.seed, {0, static_cast<uint64_t>(id), kReplacement});
  while (!others.empty()) {
    const auto chosen = others.begin() + random.below(static_cast<int64_t>(others.size()));
    if (std::optional<Image> image = try_load(*chosen)) {
      id = *chosen;
      return *std::move(image);
    }
    others.erase(chosen);
  }
  fail("class '", dataset.class_names[static_cast<size_t>(item.label)],
       "': none of its pictures can be read");
}

/// Nothing when the picture is broken.
std::optional<Image> Loader::Impl::try_load(int64_t id) {
  const auto index = static_cast<size_t>(id);
  const Image* known = nullptr;
  {
    const std::lock_guard lock(mutex);
    if (broken.contains(id)) return std::nullopt;
    if (!cache.empty() && cache[index].width > 0) known = &cache[index];
  }
  if (known != nullptr) return *known;
  try {
    Image image = load_image(dataset.items[index].path, limits, options.image.channels);
    const std::lock_guard lock(mutex);
    const auto bytes = static_cast<int64_t>(image.pixels.size());
    if (!cache.empty() && cache[index].width == 0 && cached_bytes + bytes <= options.cache_bytes) {
      cache[index] = image;
      cached_bytes += bytes;
    }
    return image;
  } catch (const Error& error) {
    note_broken(id, error);
    return std::nullopt;
  }
}

/// Throws Error past the limit.
void Loader::Impl::note_broken(int64_t id, const Error& error) {
  const std::lock_guard lock(mutex);
  if (!broken.insert(id).second) return;
  log_warning("broken picture, replaced by another of its class: ", error.what());
  const auto count = static_cast<double>(broken.size()), items = static_cast<double>(dataset.items.size());
  if (count > options.max_broken_fraction * items) {
    fail(broken.size(), " of ", dataset.items.size(), " pictures cannot be read, more than the allowed ",
         fixed(100 * options.max_broken_fraction, 2), " %; the last one: ", error.what());
  }
}

Loader::Loader(const Dataset& dataset, const PkSampler& sampler,
               std::vector<std::unique_ptr<Transform>> transforms, LoaderOptions options, int rank)
    : impl_(std::make_unique<Impl>(dataset, sampler, std::move(transforms), options, rank)) {}

Loader::~Loader() = default;

void Loader::start(int64_t epoch, int64_t step) {
  KINDRED_ASSERT(impl_->workers.empty() && epoch >= 0 && step >= 0 &&
                 step < impl_->sampler.steps_per_epoch());
  impl_->epoch = epoch;
  impl_->step = step;
}

Batch Loader::next() {
  Impl& impl = *impl_;
  const auto begin = std::chrono::steady_clock::now();
  if (impl.workers.empty()) {
    for (int i = 0; i < impl.options.workers; ++i) impl.workers.emplace_back([&impl] { impl.work(); });
  }
  std::unique_lock lock(impl.mutex);
  impl.filled.wait(lock,
                   [&] { return impl.failure || (!impl.ring.empty() && impl.ring.front()->rows_left == 0); });
  if (impl.failure) std::rethrow_exception(impl.failure);
  Batch batch = std::move(impl.ring.front()->batch);
  impl.ring.pop_front();
  impl.room.notify_all();
  impl.wait_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return batch;
}

int64_t Loader::broken() const {
  const std::lock_guard lock(impl_->mutex);
  return static_cast<int64_t>(impl_->broken.size());
}

double Loader::take_wait_seconds() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->wait_seconds, 0.0);
}

}  // namespace kindred
