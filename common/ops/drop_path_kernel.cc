// Stochastic depth: one draw per sample, made again in backward.
#include "common/base/philox.h"
#include "common/engine/launch.h"
#include "common/ops/drop_path.h"

namespace kindred {

namespace {

/// What the branch of each sample is multiplied by.
struct Draws {
  uint64_t key = 0;
  int64_t step = 0, first_row = 0;
  float rate = 0;  // 0: always 1

  KINDRED_PHILOX float scale(int64_t sample) const {
    if (rate == 0) return 1;
    const auto row = static_cast<uint64_t>(first_row + sample), at = static_cast<uint64_t>(step);
    const PhiloxBlock block = philox(key, static_cast<uint32_t>(row), static_cast<uint32_t>(row >> 32),
                                     static_cast<uint32_t>(at), static_cast<uint32_t>(at >> 32));
    return unit_float(block.word[0]) < rate ? 0.f : 1 / (1 - rate);
  }
};

constexpr int64_t kPiece = 4096;  // elements under one draw of a sample: enough to share a sample among cores

/// f(i, scale of i's sample) for every element of [samples, width].
template <class F>
void each_element(Stream& stream, int64_t samples, int64_t width, const Draws& draws, F f) {
  const int64_t pieces = (width + kPiece - 1) / kPiece;
  launch_rows(
      stream, samples * pieces,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const int64_t sample = r / pieces, begin = r % pieces * kPiece;
        const int64_t count = width - begin < kPiece ? width - begin : kPiece, first = sample * width + begin;
        const float scale = draws.scale(sample);
        row.each(count, [=](int64_t i) { f(first + i, scale); });
      },
      kPiece);
}

template <class T>
class DropPathKernel final : public Kernel {
 public:
  DropPathKernel(const DropPath& op, const KernelSpec& spec)
      : samples_(spec.output[0]),
        width_(spec.output.elements() / spec.output[0]),
        node_key_(spec.node_key),
        rate_(spec.training ? static_cast<float>(op.rate) : 0.f) {}

  void forward(Stream& stream, const Io& io) override {
    const T *const identity = io.inputs[0].data<T>(), *const branch = io.inputs[1].data<T>();
    T* const y = io.output.data<T>();
    each_element(stream, samples_, width_, draws(io),
                 [=] KINDRED_DEV(int64_t i, float scale) { y[i] = identity[i] + scale * branch[i]; });
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const T* const dy = grads.output.data<T>();
    for (size_t input = 0; input < 2; ++input) {
      if (!grads.inputs[input]) continue;
      T* const dx = grads.inputs[input].data<T>();
      const bool add = grads.accumulate[input] != 0, scaled = input == 1;
      each_element(stream, samples_, width_, draws(io), [=] KINDRED_DEV(int64_t i, float scale) {
        const float value = scaled ? scale * dy[i] : dy[i];
        dx[i] = add ? dx[i] + value : value;
      });
    }
  }

 private:
  Draws draws(const Io& io) const {
    return {io.step->seed ^ node_key_, io.step->step, io.step->first_row, rate_};
  }

  int64_t samples_, width_;
  uint64_t node_key_;
  float rate_;
};

KINDRED_SINGLE_SOURCE_KERNEL("drop_path", DropPath, DropPathKernel);

}  // namespace

}  // namespace kindred
