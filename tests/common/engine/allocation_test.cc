// Counts every allocation of the program, to show that a step makes none.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "common/engine/program.h"
#include "tests/support/toy_ops.h"

namespace {

std::atomic<int64_t> allocations{0};

void* counted(size_t size, size_t alignment) {
  ++allocations;
  void* const memory = std::aligned_alloc(alignment, size / alignment * alignment + alignment);
  if (memory == nullptr) std::abort();  // a test has no use for going on
  return memory;
}

}  // namespace

void* operator new(size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return counted(size, alignof(std::max_align_t));
}
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace kindred {
namespace {

TEST(Program, AllocatesNothingInsideAStep) {
  const auto stream = make_stream({});
  ParameterSet parameters;
  Graph graph(parameters);
  Value x = graph.input("x", {64, 32});
  for (int i = 0; i < 6; ++i) {
    const auto scope = graph.scope(concat("layer", i));
    const Value y = test::toy<test::ToySigmoid>(graph, {test::toy_scale(graph, x)});
    x = test::toy<test::ToyAdd>(graph, {test::toy<test::ToySquare>(graph, {y}), x});
  }
  graph.output("y", x);
  parameters.freeze(*stream);
  parameters.initialize(1);
  CompileOptions options;
  options.training = true;
  Program program(graph, *stream, options);
  int64_t told = 0;
  const Program::ReadyFn ready = [&told](int64_t final_elements) { told = final_elements; };
  program.forward();
  program.backward(ready);  // the first step may start the thread pool

  const int64_t before = allocations;
  program.forward({1, 2, 3});
  program.backward(ready);
  EXPECT_EQ(allocations - before, 0);
  EXPECT_EQ(told, parameters.gradients().elements());

  ::operator delete(::operator new(1));
  EXPECT_EQ(allocations - before, 1) << "the counter must count";
}

}  // namespace
}  // namespace kindred
