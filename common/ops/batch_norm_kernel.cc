// The mean and squared deviations of a batch come from one pass over it: sums about a pivot near the mean,
// which do not cancel as plain sums of squares do. Ranks exchange (mean, squared deviations, count), combined
// in rank order. Backward recomputes the activation's input; it keeps the mean, 1 / deviation and the count
// over all ranks.
#include <cmath>

#include "common/engine/launch.h"
#include "common/ops/activation_math.h"
#include "common/ops/batch_norm.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

constexpr int kPivotRows = 16;  // spread over the batch, so that one odd row moves the pivot little

/// Everything a pass over the rows reads; v = (x - mean) gain + beta is the activation's input.
template <class T>
struct Pass {
  const T* x;
  const float *mean, *gain, *beta;
  const float *scale, *shift;  // the affine block's; of 1 and 0 without
  bool affine;
  int64_t rows, cols;
};

template <class T>
struct Apply {
  Stream& stream;
  Pass<T> pass;
  const T* residual;
  T* y;

  template <Activation A>
  void run() const {
    const Pass<T> p = pass;
    const int64_t cols = p.cols;
    const T* const added = residual;
    const auto normal = [=] KINDRED_DEV(int64_t r, int64_t c) {
      const float v = (p.x[r * cols + c] - p.mean[c]) * p.gain[c] + p.beta[c];
      return *p.scale * activate<A>(v) + *p.shift;
    };
    if (added == nullptr) return write_matrix(stream, p.rows, cols, y, false, normal);
    write_matrix(stream, p.rows, cols, y, false,
                 [=] KINDRED_DEV(int64_t r, int64_t c) { return normal(r, c) + added[r * cols + c]; });
  }
};

/// sums [2 or 4, C]: dv, dv x_hat, and with an affine block dy act(v), dy; where dv = dL/dv.
template <class T>
struct SumGradients {
  Stream& stream;
  Pass<T> pass;
  const float* invstd;
  const T* dy;
  float* sums;
  Tensor partials;

  template <Activation A>
  void run() const {
    const Pass<T> p = pass;
    const int64_t cols = p.cols;
    const float* const inverse = invstd;
    const T* const above = dy;
    if (!p.affine) {
      launch_columns<2>(
          stream, p.rows, cols,
          [=] KINDRED_DEV(int64_t r, int64_t c) {
            const float centred = p.x[r * cols + c] - p.mean[c];
            const float dv = above[r * cols + c] * activation_slope<A>(centred * p.gain[c] + p.beta[c]);
            return Sums<2>{{dv, dv * centred * inverse[c]}};
          },
          {{sums, sums + cols}}, Write::set, partials);
      return;
    }
    launch_columns<4>(
        stream, p.rows, cols,
        [=] KINDRED_DEV(int64_t r, int64_t c) {
          const float centred = p.x[r * cols + c] - p.mean[c], g = above[r * cols + c];
          const float v = centred * p.gain[c] + p.beta[c];
          const float dv = *p.scale * g * activation_slope<A>(v);
          return Sums<4>{{dv, dv * centred * inverse[c], g * activate<A>(v), g}};
        },
        {{sums, sums + cols, sums + 2 * cols, sums + 3 * cols}}, Write::set, partials);
  }
};

/// dx = gain (dv - mean(dv) - x_hat mean(dv x_hat)), means over all ranks.
template <class T>
struct Propagate {
  Stream& stream;
  Pass<T> pass;
  const float *invstd, *means;  // means [2, C]: dv, dv x_hat
  const T* dy;
  T* dx;
  bool accumulate;

  template <Activation A>
  void run() const {
    const Pass<T> p = pass;
    const int64_t cols = p.cols;
    const float *const inverse = invstd, *const mean = means;
    const T* const above = dy;
    write_matrix(stream, p.rows, cols, dx, accumulate, [=] KINDRED_DEV(int64_t r, int64_t c) {
      const float centred = p.x[r * cols + c] - p.mean[c];
      const float slope = activation_slope<A>(centred * p.gain[c] + p.beta[c]);
      const float dv = *p.scale * above[r * cols + c] * slope;
      return p.gain[c] * (dv - mean[c] - centred * inverse[c] * mean[cols + c]);
    });
  }
};

template <class T>
class BatchNormKernel final : public Kernel {
 public:
  BatchNormKernel(const BatchNorm& op, const KernelSpec& spec)
      : op_(op),
        rows_(spec.output.rows()),
        cols_(spec.output[-1]),
        training_(spec.training),
        communicator_(spec.communicator),
        device_(spec.stream.device()),
        neutral_(make_tensor(spec.stream, {2})) {
    constexpr float kNeutral[2] = {1, 0};
    spec.stream.copy(neutral_.raw(), kNeutral, neutral_.bytes());
    spec.stream.wait();
  }

  /// Training: [mean C | 1 / deviation C | gain C | count over all ranks].
  int64_t state_bytes() const override { return training_ ? (3 * cols_ + 1) * kFloat : 0; }

  int64_t scratch_bytes() const override {
    if (!training_) return cols_ * kFloat;
    return std::max(moments_floats() * kFloat + columns_scratch_bytes<2>(rows_, cols_),
                    4 * cols_ * kFloat + columns_scratch_bytes<4>(rows_, cols_));
  }

  void forward(Stream& stream, const Io& io) override {
    const float* mean = io.parameters[kMean].f32();
    const float* gain = floats(io.scratch);
    if (training_) {
      gather_moments(stream, io);
      mean = floats(io.state);
      gain = floats(io.state) + 2 * cols_;
    } else {
      running_gain(stream, io);
    }
    const T* const residual = op_.epilogue.residual ? io.inputs[1].data<T>() : nullptr;
    with_activation(op_.epilogue.activation,
                    Apply<T>{stream, pass(io, mean, gain), residual, io.output.data<T>()});
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const float* const state = floats(io.state);
    float* const sums = floats(io.scratch);
    const T* const dy = grads.output.data<T>();
    const Pass<T> p = pass(io, state, state + 2 * cols_);
    const Activation activation = op_.epilogue.activation;
    with_activation(activation,
                    SumGradients<T>{stream, p, state + cols_, dy, sums, behind(io.scratch, 4 * cols_)});
    add_parameter_gradients(stream, sums, grads);
    if (op_.epilogue.residual && grads.inputs[1]) {
      const auto value = [=] KINDRED_DEV(int64_t i) { return dy[i]; };
      write_each(stream, rows_ * cols_, grads.inputs[1].data<T>(), grads.accumulate[1] != 0, value);
    }
    if (!grads.inputs[0]) return;
    if (communicator_.size() > 1) communicator_.all_reduce(stream, view(sums, {2 * cols_}));
    const float* const count = state + 3 * cols_;
    launch_each(stream, 2 * cols_, [=] KINDRED_DEV(int64_t i) { sums[i] /= *count; });
    with_activation(activation, Propagate<T>{stream, p, state + cols_, sums, dy, grads.inputs[0].data<T>(),
                                             grads.accumulate[0] != 0});
  }

  // Public, because nvcc wants it so of functions with device lambdas.

  /// This batch's moments over all ranks into the state, and from there into the running statistics.
  void gather_moments(Stream& stream, const Io& io) {
    const int64_t rows = rows_, cols = cols_, ranks = communicator_.size(), record = 2 * cols + 1;
    const T* const x = io.inputs[0].data<T>();
    const float* const gamma = io.parameters[kGamma].f32();
    float* const pivot = floats(io.scratch);
    float* const mine = pivot + cols;  // [mean C | squared deviations C | count]
    float* const all = ranks > 1 ? mine + record : mine;
    launch_each(
        stream, cols,
        [=] KINDRED_DEV(int64_t c) {
          float total = 0;
          for (int k = 0; k < kPivotRows; ++k) total += x[rows * k / kPivotRows * cols + c];
          pivot[c] = total / kPivotRows;
        },
        kPivotRows);
    launch_columns<2>(
        stream, rows, cols,
        [=] KINDRED_DEV(int64_t r, int64_t c) {
          const float d = x[r * cols + c] - pivot[c];
          return Sums<2>{{d, d * d}};
        },
        {{mine, mine + cols}}, Write::set, behind(io.scratch, moments_floats()));
    launch_each(stream, cols, [=] KINDRED_DEV(int64_t c) {
      const float n = static_cast<float>(rows), offset = mine[c] / n, square = mine[cols + c];
      mine[c] = pivot[c] + offset;
      const float deviations = square - n * offset * offset;
      mine[cols + c] = deviations > 0 ? deviations : 0;
      if (c == 0) mine[2 * cols] = n;
    });
    if (ranks > 1) communicator_.all_gather(stream, view(mine, {1, record}), view(all, {ranks, record}));

    float *const state = floats(io.state), *const running_mean = io.parameters[kMean].f32(),
                 *const running_var = io.parameters[kVariance].f32();
    const float eps = static_cast<float>(op_.eps), momentum = static_cast<float>(op_.momentum);
    launch_each(
        stream, cols,
        [=] KINDRED_DEV(int64_t c) {
          float n = 0, mean = 0, deviations = 0;
          for (int64_t rank = 0; rank < ranks; ++rank) {
            const float* const theirs = all + rank * record;
            const float count = theirs[2 * cols], total = n + count, distance = theirs[c] - mean;
            mean += distance * (count / total);
            deviations += theirs[cols + c] + distance * distance * (n * (count / total));
            n = total;
          }
          state[c] = mean;
          state[cols + c] = 1 / sqrtf(deviations / n + eps);
          state[2 * cols + c] = gamma[c] * state[cols + c];
          if (c == 0) state[3 * cols] = n;
          running_mean[c] += momentum * (mean - running_mean[c]);
          running_var[c] += momentum * (deviations / (n > 1 ? n - 1 : 1) - running_var[c]);
        },
        ranks);
  }

  /// gamma / sqrt(running variance + eps) into the scratch.
  void running_gain(Stream& stream, const Io& io) {
    const float *const gamma = io.parameters[kGamma].f32(), *const variance = io.parameters[kVariance].f32();
    const float eps = static_cast<float>(op_.eps);
    float* const gain = floats(io.scratch);
    launch_each(stream, cols_, [=] KINDRED_DEV(int64_t c) { gain[c] = gamma[c] / sqrtf(variance[c] + eps); });
  }

  /// This rank's share; the gradient reduction adds the ranks'.
  void add_parameter_gradients(Stream& stream, const float* sums, const Grads& grads) {
    const int64_t cols = cols_;
    float *const dgamma = grads.parameters[kGamma].f32(), *const dbeta = grads.parameters[kBeta].f32();
    launch_each(stream, cols, [=] KINDRED_DEV(int64_t c) {
      dbeta[c] += sums[c];
      dgamma[c] += sums[cols + c];
    });
    if (!op_.epilogue.affine) return;
    float *const dscale = grads.parameters[kScale].f32(), *const dshift = grads.parameters[kShift].f32();
    launch_rows(stream, 2, [=] KINDRED_DEV(const Row& row, int64_t which) {
      const float total = row.sum(cols, [=](int64_t c) { return sums[(2 + which) * cols + c]; });
      row.once([=] { *(which == 0 ? dscale : dshift) += total; });
    });
  }

 private:
  static constexpr size_t kGamma = 0, kBeta = 1, kMean = 2, kVariance = 3, kScale = 4, kShift = 5;
  static constexpr int64_t kFloat = sizeof(float);

  static float* floats(const Tensor& bytes) { return static_cast<float*>(bytes.raw()); }
  static Tensor behind(const Tensor& bytes, int64_t floats_before) {
    return bytes.slice(floats_before * kFloat, bytes.elements() - floats_before * kFloat);
  }
  Tensor view(float* data, Shape shape) const { return Tensor::view(data, shape, DType::f32, device_); }

  /// The scratch of gather_moments before its partial sums: pivot, mine, and all ranks' records.
  int64_t moments_floats() const {
    const int64_t record = 2 * cols_ + 1, ranks = communicator_.size();
    return cols_ + record + (ranks > 1 ? ranks * record : 0);
  }

  Pass<T> pass(const Io& io, const float* mean, const float* gain) const {
    const bool affine = op_.epilogue.affine;
    return {io.inputs[0].data<T>(),
            mean,
            gain,
            io.parameters[kBeta].f32(),
            affine ? io.parameters[kScale].f32() : neutral_.f32(),
            affine ? io.parameters[kShift].f32() : neutral_.f32() + 1,
            affine,
            rows_,
            cols_};
  }

  const BatchNorm op_;
  const int64_t rows_, cols_;
  const bool training_;
  Communicator& communicator_;
  const Device device_;
  const Tensor neutral_;  // an affine block's numbers that change nothing: no branch inside a loop
};

KINDRED_SINGLE_SOURCE_KERNEL("batch_norm", BatchNorm, BatchNormKernel);

}  // namespace
}  // namespace kindred
