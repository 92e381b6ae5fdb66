#include "trainer/data/sampler.h"

#include <algorithm>
#include <mutex>
#include <numeric>  // iota
#include <unordered_set>

#include "common/base/error.h"
#include "common/base/philox.h"

namespace kindred {
namespace {

// Last part of the random keys: class orders and image orders never share a stream.
constexpr uint64_t kClassOrder = 0x706b'636c'6173'7300, kImageOrder = 0x706b'696d'6167'6500;

/// Puts a random choice into the first `count` places (Fisher and Yates).
void shuffle_front(std::vector<int64_t>& values, size_t count, Random& random) {
  for (size_t i = 0; i < count; ++i) {
    const auto j = i + static_cast<size_t>(random.below(static_cast<int64_t>(values.size() - i)));
    std::swap(values[i], values[j]);
  }
}

void refuse_small_classes(const Dataset& dataset, const std::vector<std::vector<int64_t>>& by_class) {
  std::vector<std::string> small;
  for (size_t label = 0; label < by_class.size(); ++label) {
    if (by_class[label].size() < 2) small.push_back(concat("'", dataset.class_names[label], "'"));
  }
  if (small.empty()) return;
  const size_t shown = std::min<size_t>(small.size(), 5);
  fail(small.size(), " of ", by_class.size(),
       " classes have fewer than two images, so nothing can be learned from them: ",
       join(std::span(small).first(shown)), shown < small.size() ? ", ..." : "",
       "; give them more images or leave them out");
}

}  // namespace

/// The classes of every batch of an epoch, one after the other.
struct PkSampler::Epoch {
  int64_t number = 0;
  std::vector<int64_t> classes;  // [steps * P]; round r of all classes is [r * classes, (r + 1) * classes)
};

struct PkSampler::Cache {
  std::mutex mutex;
  std::shared_ptr<const Epoch> epoch;
};

PkSampler::PkSampler(const Dataset& dataset, uint64_t seed, int64_t global_batch, int images_per_class,
                     int ranks)
    : by_class_(dataset.class_names.size()),
      seed_(seed),
      global_batch_(global_batch),
      images_per_class_(images_per_class),
      ranks_(ranks),
      cache_(std::make_unique<Cache>()) {
  if (images_per_class < 1) fail("images per class is ", images_per_class, "; expected at least 1");
  if (global_batch < 1 || global_batch % images_per_class != 0) {
    fail("the global batch of ", global_batch, " images is not a multiple of ", images_per_class,
         " images per class");
  }
  if (ranks < 1 || global_batch % ranks != 0) {
    fail("the global batch of ", global_batch, " images cannot be divided among ", ranks, " ranks");
  }
  for (size_t i = 0; i < dataset.items.size(); ++i) {
    by_class_[static_cast<size_t>(dataset.items[i].label)].push_back(static_cast<int64_t>(i));
  }
  refuse_small_classes(dataset, by_class_);
  const int64_t classes_per_batch = global_batch / images_per_class;
  if (dataset.classes() < classes_per_batch) {
    fail("a global batch of ", global_batch, " images, ", images_per_class, " per class, needs ",
         classes_per_batch, " classes; the data set has ", dataset.classes());
  }
  steps_per_epoch_ = std::max<int64_t>(1, static_cast<int64_t>(dataset.items.size()) / global_batch);
}

PkSampler::~PkSampler() = default;

std::shared_ptr<const PkSampler::Epoch> PkSampler::plan(int64_t epoch) const {
  const std::lock_guard lock(cache_->mutex);
  if (cache_->epoch != nullptr && cache_->epoch->number == epoch) return cache_->epoch;

  const size_t per_batch = static_cast<size_t>(global_batch_ / images_per_class_);
  auto made = std::make_shared<Epoch>();
  made->number = epoch;
  const size_t wanted = static_cast<size_t>(steps_per_epoch_) * per_batch;
  std::vector<int64_t> round(by_class_.size());
  for (uint64_t r = 0; made->classes.size() < wanted; ++r) {
    std::iota(round.begin(), round.end(), 0);
    Random random(seed_, {static_cast<uint64_t>(epoch), r, kClassOrder});
    shuffle_front(round, round.size(), random);
    // The batch that two rounds share must not meet a class twice: classes already in it go behind the
    // others.
    const size_t begun = made->classes.size() % per_batch;
    const std::unordered_set<int64_t> in_batch(made->classes.end() - static_cast<ptrdiff_t>(begun),
                                               made->classes.end());
    std::stable_partition(round.begin(), round.end(),
                          [&](int64_t label) { return !in_batch.contains(label); });
    made->classes.insert(made->classes.end(), round.begin(), round.end());
  }
  cache_->epoch = made;
  return made;
}

/// The `round`-th time that a class is met in an epoch it gives the next K of its images in a random order;
/// when fewer than K are left, the order is drawn anew.
void PkSampler::append_images(int64_t epoch, int64_t label, int64_t round, std::vector<int64_t>& out) const {
  std::vector<int64_t> images = by_class_[static_cast<size_t>(label)];
  const auto wanted = static_cast<size_t>(images_per_class_);
  const size_t parts = std::max<size_t>(1, images.size() / wanted);
  const auto part = static_cast<size_t>(round) % parts;
  const uint64_t order = static_cast<uint64_t>(round) / parts;
  Random random(seed_ ^ kImageOrder, {static_cast<uint64_t>(epoch), static_cast<uint64_t>(label), order});
  shuffle_front(images, std::min(images.size(), (part + 1) * wanted), random);
  for (size_t i = 0; i < wanted; ++i) out.push_back(images[(part * wanted + i) % images.size()]);
}

std::vector<int64_t> PkSampler::batch(int64_t epoch, int64_t step, int rank) const {
  KINDRED_ASSERT(epoch >= 0 && step >= 0 && step < steps_per_epoch_ && rank >= 0 && rank < ranks_);
  const std::shared_ptr<const Epoch> epoch_plan = plan(epoch);
  const int64_t classes = static_cast<int64_t>(by_class_.size());
  const int64_t per_rank = global_batch_ / ranks_, first_row = step * global_batch_ + rank * per_rank;

  // Whole classes that cover this rank's rows; K need not divide B.
  const int64_t first_slot = first_row / images_per_class_,
                last_slot = (first_row + per_rank - 1) / images_per_class_;
  std::vector<int64_t> samples;
  for (int64_t slot = first_slot; slot <= last_slot; ++slot) {
    append_images(epoch, epoch_plan->classes[static_cast<size_t>(slot)], slot / classes, samples);
  }
  const int64_t skipped = first_row - first_slot * images_per_class_;
  return {samples.begin() + skipped, samples.begin() + skipped + per_rank};
}

}  // namespace kindred
