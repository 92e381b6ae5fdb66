// The harness of ops. One OpCase, a row of a table in tests/common/ops/*_cases.cc, gives these tests:
//   MatchesReference    forward against plain loops in double, twice with other parameters, buffers included
//   HasTrueGradients    backward against central differences of the reference; = and +=; nothing unsaved is
//   read,
//                       nothing is written that is not the kernel's; input gradients that nobody wants are
//                       left out
//   ComputesInBf16      forward and backward on bf16 tensors: the value against the same reference, gradients
//                       against fp32 ones of the same numbers
//   EmulatesBf16        the same without the CPU's bf16 products (rows of vendor matrix products)
//   IgnoresThreadCount  the same bits with 1, 2 and 4 threads (rows may opt out: vendor matrix products)
//   CudaMatchesCpu      output and gradients; skipped where there is no GPU
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "common/engine/op.h"

namespace kindred::test {

/// A dense array for references: plain loops in double.
struct Array {
  Shape shape;
  std::vector<double> values;

  Array() = default;
  explicit Array(Shape s) : shape(s), values(static_cast<size_t>(s.elements())) {}
  /// By flat index, and by indices of all dimensions: a(n, h, w, c).
  double& operator[](int64_t i) { return values[static_cast<size_t>(i)]; }
  double operator[](int64_t i) const { return values[static_cast<size_t>(i)]; }
  template <class... Index>
  double& operator()(Index... index) {
    return (*this)[flat({static_cast<int64_t>(index)...})];
  }
  template <class... Index>
  double operator()(Index... index) const {
    return (*this)[flat({static_cast<int64_t>(index)...})];
  }

 private:
  int64_t flat(std::initializer_list<int64_t> index) const;
};

/// One value of an input or parameter, from its flat index and a random stream.
using Fill = std::function<double(int64_t i, Random& random)>;
Fill uniform(double low, double high);

struct CaseInput {
  Shape shape;
  Fill fill = uniform(-1, 1);
  bool differentiable = true;  // false: no gradient is asked for
};

struct CaseParameter {
  Shape shape;  // in memory: a convolution's is [O, kh, kw, I/g]
  Fill fill = uniform(-1, 1);
  bool trainable = true;  // false: a buffer; forward may change it, and the reference then changes it too
};

/// The op in double: returns the output. Changes to buffers are written into `parameters`.
using Reference = std::function<Array(std::span<const Array> inputs, std::span<Array> parameters)>;

/// What random kernels see in every test of the harness.
constexpr StepInfo kCaseStep{7, 3, 5};
constexpr uint64_t kCaseNodeKey = 11;

/// Of one rounding to the 8 bits of bf16, half a unit in the last place, and of fp32's own error.
constexpr double kOneRounding = 1.02 / 256;

struct OpCase {
  std::string name;  // "conv2d/grouped": unique
  std::shared_ptr<const Op> op;
  std::vector<CaseInput> inputs;
  std::vector<CaseParameter> parameters;
  Reference reference;
  bool training = true;              // false: a kernel for inference, forward only
  double tolerance = 1e-5;           // of the largest magnitude in the tensor; say why when looser
  double gradient_tolerance = 2e-5;  // likewise
  bool thread_independent = true;    // false for vendor matrix products
  bool bf16 = true;                  // false for kernels in fp32 alone
  double bf16_tolerance = kOneRounding;
};

void check_reference(const OpCase& row);
void check_gradients(const OpCase& row);
void check_bf16(const OpCase& row);
void check_emulated_bf16(const OpCase& row);
void check_thread_counts(const OpCase& row);
void check_cuda(const OpCase& row);

/// Registers the tests of every row that `make` returns, as "OpCase.NAME/MatchesReference" and so on.
bool register_op_cases(std::vector<OpCase> (*make)());

}  // namespace kindred::test

/// At the foot of a file of rows: KINDRED_OP_CASES(conv2d_cases); with std::vector<OpCase> conv2d_cases().
#define KINDRED_OP_CASES(function) \
  [[maybe_unused]] static const bool kindred_rows_##function = ::kindred::test::register_op_cases(&function)
