// A kernel with guarded memory for everything it touches, on any device: what the tests of ops run.
#pragma once

#include <memory>
#include <vector>

#include "tests/support/op_case.h"

namespace kindred::test {

/// A row's values, rounded to `dtype`, f32 or bf16, so that kernel and reference compute from the same
/// numbers.
struct CaseValues {
  std::vector<Array> inputs, parameters;
  CaseValues(const OpCase& row, uint64_t seed, DType dtype = DType::f32);
};

/// The nearest number that a tensor of `dtype`, f32 or bf16, can hold.
double rounded(double value, DType dtype);

/// What one backward call gave; empty arrays where there is no gradient.
struct CaseGradients {
  std::vector<Array> inputs, parameters;
};

class OpBench {
 public:
  /// dtype: of inputs, output and their gradients.
  OpBench(const OpCase& row, Device device, DType dtype = DType::f32);
  ~OpBench();

  /// Runs forward from fresh values; the parameters' version moves.
  Array forward(const CaseValues& values);

  /// Runs backward after forward. `wanted` and `accumulate`: by input. Everything that the op has not
  /// declared to read again is poison by then; so is every gradient that is to be written with =.
  CaseGradients backward(const Array& output_gradient, const std::vector<uint8_t>& wanted,
                         const std::vector<uint8_t>& accumulate);

  const Shape& output_shape() const { return output_shape_; }
  /// What memory holds now.
  Array input(size_t i) const;
  Array parameter(size_t i) const;
  /// False when something was written beside a tensor.
  bool guards_hold() const;

 private:
  class Guarded;
  Tensor make(const Shape& shape, DType dtype);
  void put(const Tensor& to, const Array& from);
  void fill(const Tensor& to, float value);
  void poison(const Tensor& bytes);
  Array get(const Tensor& tensor) const;
  Array taken(const Tensor& gradient, bool accumulated) const;

  const OpCase& row_;
  const DType dtype_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Communicator> communicator_;
  Shape output_shape_;
  std::unique_ptr<Kernel> kernel_;
  std::vector<std::unique_ptr<Guarded>> memory_;
  std::vector<Tensor> inputs_, parameters_;
  Io io_;
};

}  // namespace kindred::test
