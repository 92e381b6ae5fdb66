// What a rank keeps in the memory of a GPU while it trains: planned, not allocated.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/engine/convolution_plans.h"
#include "common/engine/graph.h"
#include "common/ops/network_convolutions.h"
#include "trainer/train/train_options.h"

namespace kindred {

/// A run as it is planned.
struct PlannedRun {
  const TrainConfig& config;
  const Options& options;
  int ranks = 1;
  int64_t classes = 0;                        // of the training set
  const DeviceDescription* device = nullptr;  // null: no plans are made
  PlanRules rules = {};
};

/// The network and losses of a run at some batch, and what they keep.
class StepMemory {
 public:
  /// rank_batch: images of a rank in a step; a multiple of train.accumulate. Throws Error: a convolution
  /// without a plan.
  StepMemory(const PlannedRun& run, int64_t rank_batch);

  /// In bytes, in the order to be shown.
  const std::vector<std::pair<std::string, int64_t>>& parts() const { return parts_; }
  int64_t total() const;

  /// The network in training form and in the run's precision, for one chunk of images.
  const Graph& graph() const { return graph_; }
  /// Its convolutions, and their plans where the run has a device and this build cuDNN; empty otherwise.
  const std::vector<NetworkConvolution>& convolutions() const { return convolutions_; }
  const std::vector<PlanFacts>& plans() const { return plans_; }

  int64_t trained_values() const { return trained_values_; }  // of network and losses, not shared out
  double score_products() const { return score_products_; }   // multiply-accumulates of scores, one pass
  int optimizer_slots() const { return slots_; }
  bool reads_raw() const { return reads_raw_; }
  const std::vector<std::string>& left_out() const { return left_out_; }  // what total() does not count

 private:
  void plan_losses(const PlannedRun& run, int64_t rank_batch);
  void plan_parameters(const PlannedRun& run);
  void plan_network(const PlannedRun& run);
  void add(std::string name, int64_t bytes);

  ParameterSet parameters_;
  Graph graph_;
  int network_parameters_ = 0;  // how many of parameters_ the network declared; the others are the losses'
  bool reads_raw_ = false;
  int slots_ = 0;
  int64_t trained_values_ = 0;
  double score_products_ = 0;
  std::vector<NetworkConvolution> convolutions_;
  std::vector<PlanFacts> plans_;
  std::vector<std::pair<std::string, int64_t>> parts_;
  std::vector<std::string> left_out_;
};

}  // namespace kindred
