#include "trainer/train/evaluation.h"

#include <algorithm>
#include <chrono>

#include "common/base/log.h"
#include "common/base/parallel.h"
#include "common/image/decode.h"
#include "common/image/preprocess.h"

namespace kindred {

Evaluator::Evaluator(Dataset dataset, const ModelConfig& config, ParameterSet& parameters, Stream& stream,
                     Communicator& communicator, int64_t batch)
    : dataset_(std::move(dataset)),
      config_(config),
      stream_(stream),
      communicator_(communicator),
      batch_(batch) {
  const auto n = static_cast<int64_t>(dataset_.items.size());
  rows_ = (n + communicator.size() - 1) / communicator.size();
  program_ = std::make_unique<Program>(build_model(parameters, config, batch), stream, CompileOptions{});
}

EmbeddedSet Evaluator::embed() {
  const auto n = static_cast<int64_t>(dataset_.items.size());
  const int64_t ranks = communicator_.size(), rank = communicator_.rank(), dim = config_.embedding;
  const ImageSpec& spec = config_.image;
  const int64_t pixels = int64_t{spec.height} * spec.width * spec.channels;

  // Picture i belongs to rank i % ranks, as its row i / ranks.
  Tensor mine(Shape{rows_, dim}), all(Shape{rows_ * ranks, dim});
  Tensor usable(Shape{rows_}, DType::i64), all_usable(Shape{rows_ * ranks}, DType::i64);
  Tensor images(Shape{batch_, spec.height, spec.width, spec.channels});
  for (int64_t first = 0; first < rows_; first += batch_) {
    const int64_t count = std::min(batch_, rows_ - first);
    parallel_for(count, [&](int64_t i) {
      const int64_t item = (first + i) * ranks + rank;
      if (item >= n) return;
      const std::string& path = dataset_.items[static_cast<size_t>(item)].path;
      try {
        preprocess(load_image(path, {}, spec.channels), spec, images.f32() + i * pixels);
        usable.data<int64_t>()[first + i] = 1;
      } catch (const Error& error) {
        log_warning(error.what(), "; left out of the evaluation");
      }
    });
    stream_.copy(program_->input("image"), images);
    program_->forward();
    stream_.copy(mine.slice(first, count), program_->output("embedding").slice(0, count));
    stream_.wait();
  }
  communicator_.all_gather(stream_, mine, all);
  communicator_.all_gather(stream_, usable, all_usable);

  EmbeddedSet set;
  set.dim = static_cast<int>(dim);
  for (int64_t item = 0; item < n; ++item) {
    const int64_t row = item % ranks * rows_ + item / ranks;
    if (all_usable.data<int64_t>()[row] == 0) continue;
    set.vectors.insert(set.vectors.end(), all.f32() + row * dim, all.f32() + (row + 1) * dim);
    set.labels.push_back(dataset_.items[static_cast<size_t>(item)].label);
    set.ids.push_back(item);
  }
  return set;
}

EvaluationResult Evaluator::run() {
  const auto begin = std::chrono::steady_clock::now();
  const EmbeddedSet embedded = embed();
  const VectorSet set = embedded.view();
  EvaluationResult result;
  result.broken = static_cast<int64_t>(dataset_.items.size()) - set.size();
  const int ks[] = {1, 5, 10};
  const double fprs[] = {1e-1, 1e-2, 1e-3};
  result.retrieval = evaluate_retrieval(set, set, ks);
  result.verification = evaluate_verification(set, set, true, fprs);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace kindred
