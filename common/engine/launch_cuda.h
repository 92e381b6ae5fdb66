// The launch primitives as CUDA kernels. Included by launch.h only; needs --extended-lambda.
// A launch is grid-stride, so that any count fits; results do not depend on the grid.
#pragma once

#include <cuda_runtime.h>

#define KINDRED_DEV __device__
// For inline namespaces and registries of code that is compiled for both devices.
#define KINDRED_LAUNCH_DEVICE cuda
#define KINDRED_SINGLE_SOURCE_KERNEL(name, O, K) KINDRED_KERNEL(cuda, name, O, K)

namespace kindred {

/// One row's worth of work: the 32 lanes of a warp share it.
class Row {
 public:
  __device__ explicit Row(int lane) : lane_(lane) {}

  /// f(i) for i in [0, n), in any order; what was written is seen by all lanes afterwards.
  template <class F>
  __device__ void each(int64_t n, F f) const {
    for (int64_t i = lane_; i < n; i += 32) f(i);
    __syncwarp();
  }

  /// Sum of f(i); every lane gets it, the same to the bit: a butterfly adds the same pairs on both sides.
  template <class F>
  __device__ float sum(int64_t n, F f) const {
    float total = 0;
    for (int64_t i = lane_; i < n; i += 32) total += f(i);
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(kAllLanes, total, step);
    return total;
  }

  /// Largest f(i), -infinity for an empty row; every lane gets it.
  template <class F>
  __device__ float max(int64_t n, F f) const {
    float largest = -INFINITY;
    for (int64_t i = lane_; i < n; i += 32) largest = fmaxf(largest, f(i));
    for (int step = 16; step > 0; step /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, step));
    return largest;
  }

  /// Largest f(i) and its lowest index; every lane gets it.
  template <class F>
  __device__ Largest arg_max(int64_t n, F f) const {
    Largest best{-INFINITY, -1};
    for (int64_t i = lane_; i < n; i += 32) best = better(best, {f(i), i});
    for (int step = 16; step > 0; step /= 2) {
      const float value = __shfl_xor_sync(kAllLanes, best.value, step);
      const auto index =
          static_cast<int64_t>(__shfl_xor_sync(kAllLanes, static_cast<long long>(best.index), step));
      best = better(best, {value, index});
    }
    return best;
  }

  /// f() by one lane; what it wrote is seen by all.
  template <class F>
  __device__ void once(F f) const {
    if (lane_ == 0) f();
    __syncwarp();
  }

 private:
  static constexpr unsigned kAllLanes = 0xffffffffu;

  __device__ static Largest better(Largest a, Largest b) {
    if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
    const bool second = b.value > a.value || (b.value == a.value && b.index < a.index);
    return second ? b : a;
  }

  int lane_;
};

namespace detail {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int64_t kMaxBlocks = 65535;

inline unsigned launch_blocks(int64_t n, int64_t per_block) {
  return static_cast<unsigned>(std::clamp<int64_t>((n + per_block - 1) / per_block, 1, kMaxBlocks));
}

inline cudaStream_t native_stream(Stream& stream) { return static_cast<cudaStream_t>(stream.native()); }

inline void check_launch() {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) fail("a kernel launch failed: ", cudaGetErrorString(error));
}

template <class F>
__global__ void each_kernel(int64_t n, F f) {
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) f(i);
}

template <class F>
__global__ void rows_kernel(int64_t rows, F f) {
  const Row row(static_cast<int>(threadIdx.x % 32));
  const int64_t stride = int64_t{gridDim.x} * kWarps;
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; r < rows; r += stride) f(row, r);
}

/// A block of 32 columns x kWarps rows sums one block of rows; partials [blocks][K][cols].
template <int K, class F>
__global__ void columns_kernel(int64_t rows, int64_t cols, int64_t block, int64_t tiles, int64_t jobs, F f,
                               float* partials) {
  __shared__ float shared[K][kWarps][32];
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  for (int64_t job = blockIdx.x; job < jobs; job += gridDim.x) {
    const int64_t b = job / tiles, c = job % tiles * 32 + lane;
    const int64_t end = (b + 1) * block < rows ? (b + 1) * block : rows;
    float sums[K] = {};
    if (c < cols) {
      for (int64_t r = b * block + warp; r < end; r += kWarps) {
        const Sums<K> s = f(r, c);
        for (int k = 0; k < K; ++k) sums[k] += s.value[k];
      }
    }
    for (int k = 0; k < K; ++k) shared[k][warp][lane] = sums[k];
    __syncthreads();
    if (warp == 0 && c < cols) {
      for (int k = 0; k < K; ++k) {
        float total = 0;
        for (int w = 0; w < kWarps; ++w) total += shared[k][w][lane];
        partials[(b * K + k) * cols + c] = total;
      }
    }
    __syncthreads();
  }
}

template <int K>
__global__ void combine_columns_kernel(int64_t cols, int64_t blocks, const float* partials,
                                       SumOutputs<K> outputs, Write write) {
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < K * cols; i += stride) {
    const int64_t k = i / cols, c = i % cols;
    double total = write == Write::add ? static_cast<double>(outputs.out[k][c]) : 0;
    for (int64_t b = 0; b < blocks; ++b) total += static_cast<double>(partials[(b * K + k) * cols + c]);
    outputs.out[k][c] = static_cast<float>(total);
  }
}

}  // namespace detail

/// f(i) for i in [0, n). `work` matters on the CPU only.
template <class F>
void launch_each(Stream& stream, int64_t n, F f, int64_t work = 1) {
  (void)work;
  if (n <= 0) return;
  detail::each_kernel<<<detail::launch_blocks(n, detail::kThreads), detail::kThreads, 0,
                        detail::native_stream(stream)>>>(n, f);
  detail::check_launch();
}

/// f(row, r) for r in [0, rows): one warp a row. `work` matters on the CPU only.
template <class F>
void launch_rows(Stream& stream, int64_t rows, F f, int64_t work = 256) {
  (void)work;
  if (rows <= 0) return;
  detail::rows_kernel<<<detail::launch_blocks(rows, detail::kWarps), detail::kThreads, 0,
                        detail::native_stream(stream)>>>(rows, f);
  detail::check_launch();
}

/// outputs.out[k][c] = or += the sum over r in [0, rows) of f(r, c).value[k], in two stages of fixed order.
/// scratch: at least columns_scratch_bytes<K>(rows, cols) bytes.
template <int K, class F>
void launch_columns(Stream& stream, int64_t rows, int64_t cols, F f, SumOutputs<K> outputs, Write write,
                    const Tensor& scratch) {
  KINDRED_ASSERT(scratch.bytes() >= columns_scratch_bytes<K>(rows, cols));
  if (cols <= 0) return;
  float* const partials = static_cast<float*>(scratch.raw());
  const int64_t block = detail::column_block_rows(rows, cols), blocks = detail::column_blocks(rows, cols);
  const int64_t tiles = (cols + 31) / 32, jobs = blocks * tiles;
  cudaStream_t native = detail::native_stream(stream);
  if (jobs > 0) {
    detail::columns_kernel<K><<<detail::launch_blocks(jobs, 1), detail::kThreads, 0, native>>>(
        rows, cols, block, tiles, jobs, f, partials);
    detail::check_launch();
  }
  detail::combine_columns_kernel<K>
      <<<detail::launch_blocks(K * cols, detail::kThreads), detail::kThreads, 0, native>>>(
          cols, blocks, partials, outputs, write);
  detail::check_launch();
}

}  // namespace kindred
