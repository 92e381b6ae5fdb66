#include "trainer/losses/memory_bank.h"

#include <algorithm>
#include <ranges>

#include "common/base/option_rules.h"

namespace kindred {

namespace {

constexpr int64_t kBlock = 4096;  // rows that travel at once to and from a checkpoint

}  // namespace

void BankSettings::declare(Options& options) {
  options.add<int64_t>("bank.size", 0,
                       "embeddings of past steps, of all ranks together, that losses on pairs see as further "
                       "partners; 0: none");
  options.add<int64_t>("bank.start", 1000,
                       "steps before the bank is filled and used: embeddings move too fast at first");
  options.add<int64_t>("bank.max_age", 0, "steps after which an embedding is not used any more; 0: no limit");
  options.add<double>("bank.weight", 1, "weight of the loss against the bank");
}

BankSettings BankSettings::read(const Options& options, int64_t batch) {
  BankSettings settings{options.get<int64_t>("bank.size"), options.get<int64_t>("bank.start"),
                        options.get<int64_t>("bank.max_age"), options.get<double>("bank.weight")};
  require_option<int64_t>(options, "bank.size", settings.size == 0 || settings.size >= batch,
                          concat("0 or at least train.batch (", batch, ")"));
  require_option<int64_t>(options, "bank.start", settings.start >= 0, "at least 0");
  require_option<int64_t>(options, "bank.max_age", settings.max_age >= 0, "at least 0");
  require_option(options, "bank.weight", settings.weight > 0, "more than 0");
  return settings;
}

MemoryBank::MemoryBank(const BankSettings& settings, int64_t dim, Stream& stream, Communicator& communicator)
    : settings_(settings),
      dim_(dim),
      shard_rows_((settings.size + communicator.size() - 1) / communicator.size()),
      stream_(stream),
      communicator_(communicator),
      shard_(make_tensor(stream, Shape{shard_rows_, dim})),
      labels_(make_tensor(stream, Shape{settings.size}, DType::i64)),
      ids_(make_tensor(stream, Shape{settings.size}, DType::i64)),
      steps_(static_cast<size_t>(settings.size)) {
  KINDRED_ASSERT(settings.size > 0);
}

void MemoryBank::add(const Tensor& all_embeddings, const Tensor& all_labels, const Tensor& all_sample_ids,
                     int64_t step) {
  if (step < settings_.start) return;
  const int64_t rows = all_embeddings.shape()[0], first_mine = communicator_.rank() * shard_rows_;
  KINDRED_ASSERT(rows <= settings_.size);
  for (int64_t done = 0; done < rows;) {  // twice where the ring closes
    const int64_t count = std::min(rows - done, settings_.size - next_);
    stream_.copy(labels_.slice(next_, count), all_labels.slice(done, count));
    stream_.copy(ids_.slice(next_, count), all_sample_ids.slice(done, count));
    std::fill_n(steps_.begin() + next_, count, step);
    const int64_t begin = std::max(next_, first_mine),
                  end = std::min(next_ + count, first_mine + shard_rows_);
    if (begin < end) {
      stream_.copy(shard_.slice(begin - first_mine, end - begin),
                   all_embeddings.slice(done + begin - next_, end - begin));
    }
    done += count;
    next_ = (next_ + count) % settings_.size;
    filled_ = std::min(settings_.size, filled_ + count);
  }
}

int64_t MemoryBank::rows_in_use(int64_t step) const {
  if (settings_.max_age == 0) return filled_;
  const auto young = [&](int64_t age_rank) {  // rows by age: the newest is 0
    const int64_t slot = (next_ - 1 - age_rank + settings_.size) % settings_.size;
    return step - steps_[static_cast<size_t>(slot)] <= settings_.max_age;
  };
  return *std::ranges::partition_point(std::views::iota(int64_t{0}, filled_), young);
}

Columns MemoryBank::columns(int64_t step) {
  const int64_t count = rows_in_use(step), oldest = (next_ - count + settings_.size) % settings_.size;
  const int64_t before_end = std::min(count, settings_.size - oldest);
  const auto in_order = [&](const Tensor& by_slot, Tensor& ordered) {
    if (!ordered) ordered = make_tensor(stream_, Shape{settings_.size}, DType::i64);
    stream_.copy(ordered.slice(0, before_end), by_slot.slice(oldest, before_end));
    if (before_end < count) {
      stream_.copy(ordered.slice(before_end, count - before_end), by_slot.slice(0, count - before_end));
    }
    return ordered.data<int64_t>();
  };
  Columns columns;
  columns.count = count;
  columns.labels = in_order(labels_, ordered_labels_);
  columns.ids = in_order(ids_, ordered_ids_);
  columns.embeddings = [this, oldest](int64_t first, int64_t width) { return fetch(oldest + first, width); };
  return columns;
}

const float* MemoryBank::fetch(int64_t first, int64_t count) {
  if (!tile_ || tile_.shape()[0] < count) tile_ = make_tensor(stream_, Shape{count, dim_});
  for (int64_t done = 0; done < count;) {  // runs of slots that one rank holds
    const int64_t slot = (first + done) % settings_.size, owner = slot / shard_rows_;
    const int64_t end = std::min(settings_.size, (owner + 1) * shard_rows_);
    const int64_t run = std::min(count - done, end - slot);
    const Tensor rows = tile_.slice(done, run);
    if (owner == communicator_.rank()) stream_.copy(rows, shard_.slice(slot - owner * shard_rows_, run));
    communicator_.broadcast(stream_, rows, static_cast<int>(owner));
    done += run;
  }
  return tile_.f32();
}

NamedTensors MemoryBank::blank_state() const {
  if (communicator_.rank() != 0) return {};
  const Shape slots{settings_.size};
  return {{"bank.embeddings", Tensor(Shape{settings_.size, dim_})},
          {"bank.labels", Tensor(slots, DType::i64)},
          {"bank.ids", Tensor(slots, DType::i64)},
          {"bank.steps", Tensor(slots, DType::i64)},
          {"bank.position", Tensor(Shape{2}, DType::i64)}};
}

NamedTensors MemoryBank::state() {
  const NamedTensors named = blank_state();
  for (int64_t first = 0; first < settings_.size; first += kBlock) {
    const int64_t count = std::min(kBlock, settings_.size - first);
    const float* const rows = fetch(first, count);
    if (named.empty()) continue;
    stream_.copy(named[0].second.slice(first, count).raw(), rows,
                 count * dim_ * static_cast<int64_t>(sizeof(float)));
  }
  if (!named.empty()) {
    stream_.copy(named[1].second, labels_);
    stream_.copy(named[2].second, ids_);
    std::ranges::copy(steps_, named[3].second.data<int64_t>());
    named[4].second.data<int64_t>()[0] = next_, named[4].second.data<int64_t>()[1] = filled_;
  }
  stream_.wait();
  return named;
}

void MemoryBank::restore(const NamedTensors& state) {
  const bool root = communicator_.rank() == 0;
  const Tensor steps(Shape{settings_.size}, DType::i64), position(Shape{2}, DType::i64);
  if (root) {
    const int64_t next = state[4].second.data<int64_t>()[0], filled = state[4].second.data<int64_t>()[1];
    if (next < 0 || next >= settings_.size || filled < 0 || filled > settings_.size)
      fail("the memory bank's position ", next, " of ", filled, " rows does not fit its size ",
           settings_.size);
    stream_.copy(labels_, state[1].second);
    stream_.copy(ids_, state[2].second);
    stream_.copy(steps, state[3].second);
    stream_.copy(position, state[4].second);
  }
  for (const Tensor& tensor : {labels_, ids_, steps, position}) communicator_.broadcast(stream_, tensor, 0);
  const Tensor block = make_tensor(stream_, Shape{std::min(kBlock, settings_.size), dim_});
  const int64_t first_mine = communicator_.rank() * shard_rows_;
  for (int64_t first = 0; first < settings_.size; first += kBlock) {
    const int64_t count = std::min(kBlock, settings_.size - first);
    const Tensor rows = block.slice(0, count);
    if (root) stream_.copy(rows, state[0].second.slice(first, count));
    communicator_.broadcast(stream_, rows, 0);
    const int64_t begin = std::max(first, first_mine),
                  end = std::min(first + count, first_mine + shard_rows_);
    if (begin < end)
      stream_.copy(shard_.slice(begin - first_mine, end - begin), rows.slice(begin - first, end - begin));
  }
  stream_.wait();
  std::copy_n(steps.data<int64_t>(), settings_.size, steps_.begin());
  next_ = position.data<int64_t>()[0], filled_ = position.data<int64_t>()[1];
}

}  // namespace kindred
