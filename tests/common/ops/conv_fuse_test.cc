// What the inference pass may put into a convolution, and that it then computes the same.
#include <gtest/gtest.h>

#include "common/base/philox.h"
#include "common/engine/program.h"
#include "common/ops/add.h"
#include "common/ops/affine.h"
#include "common/ops/batch_norm.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"

namespace kindred {
namespace {

class ConvFuse : public ::testing::Test {
 protected:
  /// How many kernels are left; fused and plain programs agree, also after the parameters have changed.
  int kernels_left(Value output) {
    graph_.output("y", output);
    parameters_.freeze(*stream_);
    CompileOptions plain_options;
    plain_options.fuse = false;
    Program plain(graph_, *stream_, plain_options), fused(graph_, *stream_, {});
    for (const uint64_t seed : {5u, 6u}) {
      draw(seed);
      expect_equal(run(plain), run(fused));
    }
    return fused.plan().kernels;
  }

  void draw(uint64_t seed) {
    parameters_.initialize(seed);
    Random random(seed, {});
    for (int id = 0; id < parameters_.count(); ++id) {
      const Tensor value = parameters_.value({id});
      const bool positive = !parameters_.info({id}).trainable;  // running variances
      for (int64_t i = 0; i < value.elements(); ++i)
        value.f32()[i] = static_cast<float>(random.uniform(positive ? 0.5 : -1, 1));
    }
    parameters_.touch();
  }

  std::vector<float> run(Program& program) {
    const Tensor x = program.input("x");
    Random random(9, {});
    for (int64_t i = 0; i < x.elements(); ++i) x.f32()[i] = static_cast<float>(random.uniform(-1, 1));
    program.forward();
    const Tensor y = program.output("y");
    return {y.f32(), y.f32() + y.elements()};
  }

  static void expect_equal(const std::vector<float>& plain, const std::vector<float>& fused) {
    ASSERT_EQ(plain.size(), fused.size());
    for (size_t i = 0; i < plain.size(); ++i) ASSERT_NEAR(plain[i], fused[i], 2e-5) << "element " << i;
  }

  std::unique_ptr<Stream> stream_ = make_stream({});
  ParameterSet parameters_;
  Graph graph_{parameters_};
  Value x_ = graph_.input("x", {2, 6, 7, 16});
};

TEST_F(ConvFuse, TakesNormActivationAffineAndResidual) {
  BatchNormSpec norm;
  norm.activation = Activation::relu;
  norm.affine = true;
  norm.residual = x_;
  EXPECT_EQ(kernels_left(batch_norm(graph_, conv2d(graph_, x_, {16, Window::same(3)}, "conv"), norm, "bn")),
            1);
}

TEST_F(ConvFuse, TakesTheSameIntoADepthwiseConvolution) {
  BatchNormSpec norm;
  norm.activation = Activation::hardswish;
  norm.affine = true;
  norm.residual = x_;
  const Value conv = depthwise_conv2d(graph_, x_, {Window::same(5)}, "conv");
  EXPECT_EQ(kernels_left(batch_norm(graph_, conv, norm, "bn")), 1);
}

TEST_F(ConvFuse, TakesSeparateOpsInTheirOrder) {
  const Value conv = conv2d(graph_, x_, {16, Window::same(1), 1, true}, "conv");
  const Value tail = affine(graph_, activation(graph_, conv, Activation::hardswish), "lab");
  EXPECT_EQ(kernels_left(add(graph_, {x_, tail})), 1);
}

TEST_F(ConvFuse, LeavesAnActivationBehindAnAffineBlockAlone) {
  const Value conv = conv2d(graph_, x_, {16, Window::same(1)}, "conv");
  EXPECT_EQ(kernels_left(activation(graph_, affine(graph_, conv, "lab"), Activation::relu)), 2);
}

TEST_F(ConvFuse, LeavesWhatFollowsAResidualAlone) {
  const Value conv = conv2d(graph_, x_, {16, Window::same(1)}, "conv");
  EXPECT_EQ(kernels_left(activation(graph_, add(graph_, {conv, x_}), Activation::relu)), 2);
}

TEST_F(ConvFuse, LeavesSumsOfMoreThanTwoAlone) {
  const Value conv = conv2d(graph_, x_, {16, Window::same(1)}, "conv");
  EXPECT_EQ(kernels_left(add(graph_, {conv, x_, x_})), 2);
}

/// Convolutions of one input in parallel, each with its batch norm.
class BranchFuse : public ConvFuse {
 protected:
  Value normed(Value conv) { return batch_norm(graph_, conv, {}, concat("bn", norms_++)); }
  Value depthwise(const Window& window) {
    return normed(depthwise_conv2d(graph_, x_, {.window = window}, concat("conv", norms_)));
  }
  Value dense(const Window& window, int groups = 1) {
    return normed(conv2d(graph_, x_, {16, window, groups}, concat("conv", norms_)));
  }
  int norms_ = 0;
};

TEST_F(BranchFuse, MakesOneDepthwiseConvolutionOfThreeAndTheIdentity) {
  const Value sum = add(graph_, {depthwise(Window::same(5)), depthwise(Window::same(3)),
                                 depthwise(Window::same(1)), normed(x_)});
  EXPECT_EQ(kernels_left(activation(graph_, sum, Activation::relu)), 1);
}

TEST_F(BranchFuse, MakesOneStridedConvolutionOfTwo) {
  EXPECT_EQ(kernels_left(add(graph_, {depthwise(Window::same(3, 2)), depthwise(Window::same(5, 2))})), 1);
}

TEST_F(BranchFuse, TakesAnAffineBlockIntoTheWeightsAndOneBehindTheActivation) {
  const Value sum = add(graph_, {normed(x_), dense(Window::same(1)), dense(Window::same(1))});
  const Value inner = affine(graph_, sum, "lab");
  const Value outer = affine(graph_, activation(graph_, inner, Activation::hardswish), "act.lab");
  EXPECT_EQ(kernels_left(add(graph_, {outer, x_})), 1);
}

TEST_F(BranchFuse, MakesOneGroupedConvolutionWithItsIdentity) {
  EXPECT_EQ(kernels_left(add(graph_, {dense(Window::same(3), 4), normed(x_), dense(Window::same(1), 4)})), 1);
}

TEST_F(BranchFuse, AddsTheBiasesOfConvolutionsWithoutNorms) {
  const Value a = conv2d(graph_, x_, {16, Window::same(3), 1, true}, "a");
  const Value b = conv2d(graph_, x_, {16, Window::same(1), 1, true}, "b");
  EXPECT_EQ(kernels_left(add(graph_, {a, b})), 1);
}

TEST_F(BranchFuse, AlignsEvenKernelsWithOddOnes) {
  EXPECT_EQ(kernels_left(add(graph_, {dense(Window::same(2)), dense(Window::same(3))})), 1);
}

TEST_F(BranchFuse, LeavesKernelsThatDoNotLieInsideOneAnother) {
  const Window before{2, 2, 1, 1, 1, 1, 0, 0};
  EXPECT_EQ(kernels_left(add(graph_, {dense(Window::same(2)), dense(before)})), 2);
}

TEST_F(BranchFuse, LeavesUnlikeGroups) {
  EXPECT_EQ(kernels_left(add(graph_, {dense(Window::same(3)), dense(Window::same(3), 4)})), 2);
}

TEST_F(BranchFuse, LeavesADenseConvolutionBesideADepthwiseOne) {
  EXPECT_EQ(kernels_left(add(graph_, {dense(Window::same(3)), depthwise(Window::same(3))})), 2);
}

TEST_F(BranchFuse, LeavesABranchThatIsReadTwice) {
  const Value shared = dense(Window::same(1));
  const Value sum = add(graph_, {shared, dense(Window::same(3)), dense(Window::same(1))});
  EXPECT_EQ(kernels_left(add(graph_, {activation(graph_, sum, Activation::relu), shared})), 6);
}

TEST_F(BranchFuse, LeavesABranchWithAnActivation) {
  const Value a = activation(graph_, dense(Window::same(1)), Activation::relu);
  EXPECT_EQ(kernels_left(add(graph_, {a, dense(Window::same(3))})), 2);
}

}  // namespace
}  // namespace kindred
