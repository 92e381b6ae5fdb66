// A small ParameterSet and options for tests of optimisers and schedules.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/optim/optimizer.h"
#include "trainer/optim/schedule.h"

namespace kindred::test {

/// Options of all optimisers and of the schedule, with settings "sgd.momentum=0.5".
inline Options optim_options(const std::vector<std::string>& settings) {
  Options options("optim_test", "the optimisers' own options");
  for (const auto& [name, entry] : optimizer_registry().entries()) entry.make.declare(options);
  Schedule::declare(options);
  std::vector<std::string> words{"optim_test"};
  for (const std::string& setting : settings) words.push_back("--" + setting);
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  options.parse(static_cast<int>(argv.size()), argv.data());
  return options;
}

/// A weight [3, 7] that decays, a bias [5] that decays when asked to, a slow weight [2] at a tenth of the
/// rate, and a norm [4] that never decays.
struct Network {
  Network() {
    weight = add("weight", Shape{3, 7}, true, 1);
    bias = add("bias", Shape{5}, false, 1);
    slow = add("slow", Shape{2}, true, 0.1);
    norm = add("norm", Shape{4}, false, 1, true);
    parameters.freeze(*stream);
  }

  void fill(const Tensor& tensor, float value) { std::fill_n(tensor.f32(), tensor.elements(), value); }
  void set(float value, float gradient) {
    for (const Param param : {weight, bias, slow, norm}) {
      fill(parameters.value(param), value);
      fill(parameters.gradient(param), gradient);
    }
  }
  std::unique_ptr<Optimizer> make(const std::string& name, const std::vector<std::string>& settings) {
    return optimizer_registry().get(name).make.make(optim_options(settings), parameters, *stream);
  }

  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  Param weight, bias, slow, norm;

 private:
  Param add(const std::string& name, Shape shape, bool decay, double lr_scale, bool exempt = false) {
    ParamInfo info;
    info.name = name;
    info.file_shape = shape;
    info.decay = decay;
    info.lr_scale = lr_scale;
    info.exempt = exempt;
    return parameters.add(info);
  }
};

}  // namespace kindred::test
