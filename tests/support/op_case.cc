#include "tests/support/op_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/hash.h"
#include "common/base/parallel.h"
#include "common/engine/cpu/cpu_stream.h"
#include "tests/support/op_bench.h"

namespace kindred::test {
namespace {

/// Equal within `tolerance` times the largest magnitude in `want`, and of `before` that stood there; what is
/// not finite is never equal.
void expect_near(const Array& got, const Array& want, double tolerance, const std::string& what,
                 double before = 0) {
  ASSERT_EQ(got.values.size(), want.values.size()) << what;
  double largest = 1e-3;  // of a tensor of zeros, noise is an error too
  for (const double value : want.values) largest = std::max(largest, std::abs(value));
  largest += before;
  for (size_t i = 0; i < want.values.size(); ++i) {
    const double error = std::abs(got.values[i] - want.values[i]);
    ASSERT_TRUE(error <= tolerance * largest)
        << what << " " << want.shape.text() << "[" << i << "]: got " << got.values[i] << ", expected "
        << want.values[i] << " within " << tolerance * largest;
  }
}

std::vector<uint8_t> wanted_gradients(const OpCase& row) {
  std::vector<uint8_t> wanted;
  for (const CaseInput& input : row.inputs) wanted.push_back(input.differentiable);
  return wanted;
}

/// Random weights for the output: the objective is sum(weights * output), so they are dL/d(output).
Array output_weights(const OpCase& row, const Shape& output, DType dtype = DType::f32) {
  Array weights(output);
  Random random(99, {fnv1a64(row.name), 0, 0});
  for (double& weight : weights.values) weight = rounded(random.uniform(-1, 1), dtype);
  return weights;
}

double objective(const OpCase& row, const CaseValues& values, const Array& weights) {
  std::vector<Array> parameters = values.parameters;  // a copy: the reference may change buffers
  const Array output = row.reference(values.inputs, parameters);
  return std::inner_product(output.values.begin(), output.values.end(), weights.values.begin(), 0.0);
}

/// Compares `got` with central differences of the reference by `at`, a tensor inside `values`: in every
/// element, or in a spread of them when there are many. Where the two one-sided differences disagree there is
/// a kink between: such elements prove nothing and are passed over, but they must be few.
void expect_differences(const OpCase& row, const CaseValues& values, Array& at, const Array& weights,
                        const Array& got, const std::string& what) {
  constexpr int64_t kMaxProbes = 160;
  constexpr double kStep = 1e-5;
  ASSERT_EQ(got.values.size(), at.values.size()) << what;
  const int64_t n = at.shape.elements(), probes = std::min(n, kMaxProbes);
  const double middle = objective(row, values, weights);
  Array want(got.shape), seen(got.shape);
  int64_t kinks = 0;
  for (int64_t probe = 0; probe < probes; ++probe) {
    const int64_t i = n * probe / probes;
    const double value = at[i];
    at[i] = value + kStep;
    const double above = (objective(row, values, weights) - middle) / kStep;
    at[i] = value - kStep;
    const double below = (middle - objective(row, values, weights)) / kStep;
    at[i] = value;
    if (std::abs(above - below) > 1e-2 * std::max(1.0, std::abs(above + below))) {
      ++kinks;
      continue;
    }
    want[i] = (above + below) / 2;
    seen[i] = got[i];
  }
  EXPECT_LE(kinks * 4, probes) << what << ": " << kinks << " of " << probes
                               << " elements lie at a kink; choose other values";
  expect_near(seen, want, row.gradient_tolerance, what);
}

/// Output, then all gradients, in one list; values are drawn for `values`, tensors hold `dtype`.
std::vector<Array> all_results(const OpCase& row, Device device, uint64_t seed, DType dtype = DType::f32,
                               DType values = DType::f32, bool accumulate = false) {
  OpBench bench(row, device, dtype);
  std::vector<Array> results{bench.forward(CaseValues(row, seed, values))};
  if (!row.training) return results;
  const CaseGradients gradients =
      bench.backward(output_weights(row, bench.output_shape(), values), wanted_gradients(row),
                     std::vector<uint8_t>(row.inputs.size(), accumulate));
  EXPECT_TRUE(bench.guards_hold()) << "something was written beside a tensor";
  results.insert(results.end(), gradients.inputs.begin(), gradients.inputs.end());
  results.insert(results.end(), gradients.parameters.begin(), gradients.parameters.end());
  return results;
}

/// True for as long as it lives: products are taken as on a CPU without bf16.
struct WithoutNativeBf16 {
  WithoutNativeBf16() { allow_native_bf16(false); }
  ~WithoutNativeBf16() { allow_native_bf16(true); }
};

using Check = void (*)(const OpCase&);

class OpCaseTest : public ::testing::Test {
 public:
  OpCaseTest(const OpCase& row, Check check) : row_(row), check_(check) {}
  void TestBody() override { check_(row_); }

 private:
  OpCase row_;
  Check check_;
};

}  // namespace

int64_t Array::flat(std::initializer_list<int64_t> index) const {
  KINDRED_ASSERT(static_cast<int>(index.size()) == shape.rank());
  int64_t at = 0;
  int dim = 0;
  for (const int64_t i : index) {
    KINDRED_ASSERT(i >= 0 && i < shape[dim]);
    at = at * shape[dim++] + i;
  }
  return at;
}

Fill uniform(double low, double high) {
  return [=](int64_t, Random& random) { return random.uniform(low, high); };
}

void check_reference(const OpCase& row) {
  OpBench bench(row, {});
  for (const uint64_t seed : {1u, 2u}) {  // the second run finds the first one's packed weights and memory
    const CaseValues values(row, seed);
    std::vector<Array> parameters = values.parameters;
    const Array want = row.reference(values.inputs, parameters);
    ASSERT_EQ(want.shape, bench.output_shape());
    expect_near(bench.forward(values), want, row.tolerance, "output");
    for (size_t i = 0; i < parameters.size(); ++i) {
      expect_near(bench.parameter(i), parameters[i], row.tolerance,
                  concat("parameter ", i, " after forward"));
    }
    for (size_t i = 0; i < values.inputs.size(); ++i) {
      ASSERT_EQ(bench.input(i).values, values.inputs[i].values) << "forward wrote into input " << i;
    }
  }
  EXPECT_TRUE(bench.guards_hold()) << "something was written beside a tensor";
}

void check_gradients(const OpCase& row) {
  CaseValues values(row, 3);
  OpBench bench(row, {});
  const Array weights = output_weights(row, bench.output_shape());
  const std::vector<uint8_t> wanted = wanted_gradients(row), none(row.inputs.size(), 0),
                             all(row.inputs.size(), 1);

  bench.forward(values);
  const CaseGradients set = bench.backward(weights, wanted, none);
  for (size_t i = 0; i < values.inputs.size(); ++i) {
    if (!wanted[i]) continue;
    expect_differences(row, values, values.inputs[i], weights, set.inputs[i],
                       concat("gradient of input ", i));
  }
  for (size_t i = 0; i < values.parameters.size(); ++i) {
    if (!row.parameters[i].trainable) continue;
    expect_differences(row, values, values.parameters[i], weights, set.parameters[i],
                       concat("gradient of parameter ", i));
  }

  bench.forward(values);
  const CaseGradients added = bench.backward(weights, wanted, all);
  for (size_t i = 0; i < values.inputs.size(); ++i) {
    expect_near(added.inputs[i], set.inputs[i], row.gradient_tolerance,
                concat("added gradient of input ", i));
  }

  bench.forward(values);
  const CaseGradients alone = bench.backward(weights, none, none);
  for (size_t i = 0; i < values.parameters.size(); ++i) {
    expect_near(alone.parameters[i], set.parameters[i], 1e-6, concat("gradient of parameter ", i, " alone"));
  }
  EXPECT_TRUE(bench.guards_hold()) << "something was written beside a tensor";
}

void check_bf16(const OpCase& row) {
  const CaseValues values(row, 6, DType::bf16);
  std::vector<Array> parameters = values.parameters;
  const Array want = row.reference(values.inputs, parameters);
  OpBench bench(row, {}, DType::bf16);
  expect_near(bench.forward(values), want, row.bf16_tolerance, "output");
  for (size_t i = 0; i < parameters.size(); ++i) {
    expect_near(bench.parameter(i), parameters[i], row.tolerance, concat("parameter ", i, " after forward"));
  }
  EXPECT_TRUE(bench.guards_hold()) << "something was written beside a tensor";
  if (!row.training) return;
  for (const bool accumulate : {false, true}) {
    const auto results = [&](DType dtype) { return all_results(row, {}, 6, dtype, DType::bf16, accumulate); };
    const std::vector<Array> wide = results(DType::f32), narrow = results(DType::bf16);
    const double tolerance = (accumulate ? 2 : 1) * row.bf16_tolerance;  // addend and sum may both be rounded
    for (size_t i = 1; i < wide.size(); ++i) {
      expect_near(narrow[i], wide[i], tolerance, concat("gradient ", i - 1), accumulate ? 0.75 : 0);
    }
  }
}

void check_emulated_bf16(const OpCase& row) {
  const std::vector<Array> native = all_results(row, {}, 6, DType::bf16, DType::bf16);
  const WithoutNativeBf16 emulated;
  check_bf16(row);
  const std::vector<Array> without = all_results(row, {}, 6, DType::bf16, DType::bf16);
  for (size_t i = 0; i < native.size(); ++i) {  // sums in another order may round to the other neighbour
    expect_near(without[i], native[i], 2 * row.bf16_tolerance, concat("result ", i));
  }
}

void check_thread_counts(const OpCase& row) {
  struct Restore {
    int threads = thread_count();
    ~Restore() { set_thread_count(threads); }
  } restore;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    if (dtype == DType::bf16 && !row.bf16) continue;
    set_thread_count(1);
    const std::vector<Array> one = all_results(row, {}, 4, dtype, dtype);
    for (const int threads : {2, 4}) {
      set_thread_count(threads);
      const std::vector<Array> many = all_results(row, {}, 4, dtype, dtype);
      for (size_t i = 0; i < one.size(); ++i) {
        ASSERT_EQ(many[i].values, one[i].values)
            << "result " << i << " in " << dtype_text(dtype) << " with " << threads << " threads";
      }
    }
  }
}

void check_cuda(const OpCase& row) {
  const Device cuda{Device::cuda, 0};
  try {
    make_stream(cuda);
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  const std::vector<Array> want = all_results(row, {}, 5), got = all_results(row, cuda, 5);
  for (size_t i = 0; i < want.size(); ++i) {
    expect_near(got[i], want[i], row.gradient_tolerance, concat("result ", i));
  }
}

bool register_op_cases(std::vector<OpCase> (*make)()) {
  for (const OpCase& row : make()) {
    const auto add = [&row](const char* sentence, Check check) {
      ::testing::RegisterTest(
          "OpCase", concat(row.name, "/", sentence).c_str(), nullptr, nullptr, __FILE__, __LINE__,
          [copy = row, check]() -> ::testing::Test* { return new OpCaseTest(copy, check); });
    };
    add("MatchesReference", check_reference);
    if (row.training) add("HasTrueGradients", check_gradients);
    if (row.bf16) add("ComputesInBf16", check_bf16);
    if (row.bf16 && !row.thread_independent) add("EmulatesBf16", check_emulated_bf16);
    if (row.thread_independent) add("IgnoresThreadCount", check_thread_counts);
    add("CudaMatchesCpu", check_cuda);
  }
  return true;
}

}  // namespace kindred::test
