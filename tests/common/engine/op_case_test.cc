// The harness of ops, on ops that are right and on ops that are wrong on purpose.
#include "tests/support/op_case.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cmath>
#include <type_traits>

#include "tests/support/toy_ops.h"

namespace kindred {
namespace {

using test::Array;
using test::OpCase;

Array scale_reference(std::span<const Array> inputs, std::span<Array> parameters) {
  Array y(inputs[0].shape);
  const int64_t cols = y.shape[-1];
  for (int64_t i = 0; i < y.shape.elements(); ++i) y[i] = inputs[0][i] * parameters[0][i % cols];
  return y;
}

Array square_reference(std::span<const Array> inputs, std::span<Array>) {
  Array y(inputs[0].shape);
  for (int64_t i = 0; i < y.shape.elements(); ++i) y[i] = inputs[0][i] * std::abs(inputs[0][i]);
  return y;
}

OpCase scale_case() {
  OpCase row;
  row.name = "toy_scale";
  row.op = std::make_shared<test::ToyScale>();
  row.inputs = {{{5, 3}}};
  row.parameters = {{{3}}};
  row.reference = scale_reference;
  return row;
}

std::vector<OpCase> toy_cases() {
  OpCase add;
  add.name = "toy_add";
  add.op = std::make_shared<test::ToyAdd>();
  add.inputs = {{{2, 3, 4}}, {{2, 3, 4}}};
  add.reference = [](std::span<const Array> inputs, std::span<Array>) {
    Array y(inputs[0].shape);
    for (int64_t i = 0; i < y.shape.elements(); ++i) y[i] = inputs[0][i] + inputs[1][i];
    return y;
  };
  OpCase square;
  square.name = "toy_square";
  square.op = std::make_shared<test::ToySquare>();
  square.inputs = {{{700, 64}}};  // more elements than are probed, enough to divide among threads
  square.reference = square_reference;
  OpCase infer = scale_case();
  infer.name = "toy_scale/infer";
  infer.training = false;
  std::vector<OpCase> rows{scale_case(), add, square, infer};
  for (OpCase& row : rows) row.bf16 = false;  // toys compute in fp32 alone
  return rows;
}

/// Wrong in the way that `fault` says.
struct ToyWrong : Op {
  std::string fault;
  explicit ToyWrong(std::string f) : fault(std::move(f)) {}
  std::string_view type() const override { return "toy_wrong"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Saved saved() const override { return {.inputs = fault == "reads what it did not save" ? 0u : 1u}; }
};

/// y = x * w, with a fault.
template <class T>
struct ToyWrongKernel : Kernel {
  ToyWrongKernel(const ToyWrong& op, const KernelSpec& spec)
      : fault(op.fault), elements(spec.output.elements()), cols(spec.output[-1]) {}
  int64_t scratch_bytes() const override { return 4; }

  void forward(Stream&, const Io& io) override {
    T *y = io.output.data<T>(), *x = io.inputs[0].data<T>();
    const float* const w = io.parameters[0].f32();
    if (packed_version != io.parameter_version && (packed.empty() || fault != "packs weights once")) {
      packed.assign(w, w + cols);
      packed_version = io.parameter_version;
    }
    for (int64_t i = 0; i < elements; ++i) y[i] = x[i] * packed[static_cast<size_t>(i % cols)];
    if (fault == "wrong value") y[elements - 1] = 1.001f * y[elements - 1];
    if (fault == "wrong value in bf16" && kNarrow) y[elements - 1] += 0.5f;
    if (fault == "writes past the end") y[elements] = 0;
    if (fault == "writes into its input") x[0] += 1.0f;
    if (fault == "leaves an element out") y[0] = NAN;
    *static_cast<float*>(io.scratch.raw()) = 2;
  }

  void backward(Stream&, const Io& io, const Grads& grads) override {
    const T *x = io.inputs[0].data<T>(), *dy = grads.output.data<T>();
    const float* const w = io.parameters[0].f32();
    T* const dx = grads.inputs[0] ? grads.inputs[0].data<T>() : nullptr;
    float* const dw = grads.parameters[0].f32();
    const bool add = (grads.accumulate[0] || fault == "always adds") && fault != "never adds";
    const float kept = fault == "keeps scratch" ? *static_cast<const float*>(io.scratch.raw()) - 1 : 1;
    for (int64_t i = 0; i < elements; ++i) {
      if (dx) dx[i] = (add ? dx[i] : 0.0f) + kept * dy[i] * w[i % cols];
      dw[i % cols] += dy[i] * x[i];
    }
    if (fault == "wrong input gradient" && dx) dx[2] = 1.001f * dx[2];
    if (fault == "wrong input gradient in bf16" && kNarrow && dx) dx[2] += 0.5f;
    if (fault == "wrong parameter gradient in bf16" && kNarrow) dw[1] += 0.5f;
    if (fault == "wrong parameter gradient") dw[1] *= 1.001f;
    if (fault == "overwrites parameter gradients") dw[0] -= 0.75f;
    if (fault == "forgets dw without dx" && !dx) dw[0] = 0.75f;
    if (fault == "changes dy") grads.output.data<T>()[0] += 1.0f;
  }

  static constexpr bool kNarrow = std::is_same_v<T, BFloat16>;
  std::string fault;
  int64_t elements, cols;
  std::vector<float> packed;
  int64_t packed_version = -1;
};

KINDRED_KERNEL(cpu, "toy_wrong", ToyWrong, ToyWrongKernel);

int failures_of(void (*check)(const OpCase&), const std::string& fault) {
  OpCase row = scale_case();
  row.name = fault;
  row.op = std::make_shared<ToyWrong>(fault);
  ::testing::TestPartResultArray results;
  const ::testing::ScopedFakeTestPartResultReporter reporter(
      ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results);
  check(row);
  return results.size();
}

TEST(OpCases, AcceptAKernelThatIsRight) {
  EXPECT_EQ(failures_of(test::check_reference, "none"), 0);
  EXPECT_EQ(failures_of(test::check_gradients, "none"), 0);
  EXPECT_EQ(failures_of(test::check_bf16, "none"), 0);
  EXPECT_EQ(failures_of(test::check_thread_counts, "none"), 0);
}

TEST(OpCases, FindEveryFaultOfForward) {
  for (const char* fault : {"wrong value", "writes past the end", "writes into its input",
                            "leaves an element out", "packs weights once"}) {
    EXPECT_GT(failures_of(test::check_reference, fault), 0) << fault;
  }
}

TEST(OpCases, FindEveryFaultOfBackward) {
  for (const char* fault : {"wrong input gradient", "wrong parameter gradient", "always adds", "never adds",
                            "overwrites parameter gradients", "forgets dw without dx",
                            "reads what it did not save", "keeps scratch", "changes dy"}) {
    EXPECT_GT(failures_of(test::check_gradients, fault), 0) << fault;
  }
}

TEST(OpCases, FindEveryFaultOfBf16) {
  for (const char* fault : {"wrong value in bf16", "writes past the end", "wrong input gradient in bf16",
                            "wrong parameter gradient in bf16"}) {
    EXPECT_GT(failures_of(test::check_bf16, fault), 0) << fault;
  }
}

KINDRED_OP_CASES(toy_cases);

}  // namespace
}  // namespace kindred
