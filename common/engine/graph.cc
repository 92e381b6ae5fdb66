#include "common/engine/graph.h"

#include <algorithm>

namespace kindred {
namespace {

bool same(const Init& a, const Init& b) { return a.kind == b.kind && a.a == b.a; }

/// Left-aligned in `width` columns, with a space behind.
std::string cell(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

}  // namespace

Graph::Scope::~Scope() {
  graph_->prefix_.resize(prefix_);
  graph_->lr_scale_ = lr_scale_;
}

Graph::Scope Graph::scope(std::string_view name) {
  const size_t before = prefix_.size();
  prefix_ += concat(name, ".");
  return Scope(*this, before, lr_scale_);
}

Graph::Scope Graph::lr_scope(double scale) {
  const double before = lr_scale_;
  lr_scale_ *= scale;
  return Scope(*this, prefix_.size(), before);
}

Value Graph::input(const std::string& name, Shape shape) {
  for (const auto& [known, value] : inputs_) {
    if (known == name) fail("the graph has two inputs named '", name, "'");
  }
  const Value value{static_cast<int>(nodes_.size())};
  nodes_.push_back({nullptr, {}, {}, shape, name});
  inputs_.emplace_back(name, value);
  return value;
}

Param Graph::declare(ParamInfo info) {
  info.name = prefix_ + info.name;
  info.lr_scale *= lr_scale_;
  if (!parameters_->contains(info.name)) {
    if (parameters_->frozen())
      fail("parameter '", info.name, "' is not among the weights this graph is built over");
    return parameters_->add(std::move(info));
  }
  const Param param = parameters_->find(info.name);
  const ParamInfo& known = parameters_->info(param);
  if (!(known.file_shape == info.file_shape) || known.layout != info.layout ||
      known.trainable != info.trainable) {
    fail("parameter '", info.name, "' has shape ", known.file_shape, ", another use of it needs ",
         info.file_shape);
  }
  KINDRED_ASSERT(same(known.init, info.init) && known.decay == info.decay && known.exempt == info.exempt &&
                 known.lr_scale == info.lr_scale);
  return param;
}

Param Graph::parameter(const std::string& name, Shape file_shape, Init init, ParamLayout layout, bool decay,
                       double lr_scale) {
  ParamInfo info;
  info.name = name;
  info.file_shape = file_shape;
  info.layout = layout;
  info.init = init;
  info.decay = decay;
  info.lr_scale = lr_scale;
  return declare(std::move(info));
}

Param Graph::buffer(const std::string& name, Shape shape, Init init) {
  ParamInfo info;
  info.name = name;
  info.file_shape = shape;
  info.init = init;
  info.trainable = info.decay = false;
  return declare(std::move(info));
}

Value Graph::apply(std::shared_ptr<const Op> op, std::vector<Value> inputs, std::vector<Param> parameters) {
  std::string name = prefix_.empty() ? std::string(op->type()) : prefix_.substr(0, prefix_.size() - 1);
  std::vector<Shape> shapes;
  for (const Value value : inputs) {
    KINDRED_ASSERT(value.id >= 0 && value.id < static_cast<int>(nodes_.size()));
    shapes.push_back(shape(value));
  }
  Shape output;
  try {
    output = op->output_shape(shapes);
  } catch (const Error& error) {
    fail(name, ": ", error.what());
  }
  const Value value{static_cast<int>(nodes_.size())};
  nodes_.push_back({std::move(op), std::move(inputs), std::move(parameters), output, std::move(name)});
  return value;
}

void Graph::output(const std::string& name, Value value) {
  KINDRED_ASSERT(value.id >= 0 && value.id < static_cast<int>(nodes_.size()));
  for (const auto& [known, other] : outputs_) {
    if (known == name) fail("the graph has two outputs named '", name, "'");
  }
  outputs_.emplace_back(name, value);
}

void Graph::drop_unused() {
  std::vector<uint8_t> used(nodes_.size());
  for (const auto& [name, value] : inputs_) used[static_cast<size_t>(value.id)] = 1;
  for (const auto& [name, value] : outputs_) used[static_cast<size_t>(value.id)] = 1;
  for (size_t i = nodes_.size(); i-- > 0;) {
    if (!used[i]) continue;
    for (const Value input : nodes_[i].inputs) used[static_cast<size_t>(input.id)] = 1;
  }
  std::vector<int> place(nodes_.size(), -1);
  std::vector<Node> kept;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!used[i]) continue;
    place[i] = static_cast<int>(kept.size());
    for (Value& input : nodes_[i].inputs) input.id = place[static_cast<size_t>(input.id)];
    kept.push_back(std::move(nodes_[i]));
  }
  replace_nodes(std::move(kept), place);
}

void Graph::replace_nodes(std::vector<Node> nodes, std::span<const int> place) {
  nodes_ = std::move(nodes);
  for (auto* values : {&inputs_, &outputs_}) {
    for (auto& [name, value] : *values) {
      value.id = place[static_cast<size_t>(value.id)];
      KINDRED_ASSERT(value);
    }
  }
}

int64_t Graph::node_macs(const Node& node) const {
  if (!node.op) return 0;
  std::vector<Shape> shapes;
  for (const Value value : node.inputs) shapes.push_back(shape(value));
  return node.op->macs(shapes);
}

int64_t Graph::macs() const {
  int64_t total = 0;
  for (const Node& node : nodes_) total += node_macs(node);
  return total;
}

std::string Graph::dump() const {
  std::string out = cell("node", 48) + cell("op", 20) + cell("attributes", 28) + cell("shape", 20) +
                    cell("parameters", 12) + "Mmacs\n";
  for (const Node& node : nodes_) {
    int64_t elements = 0;
    for (const Param param : node.parameters) elements += parameters_->info(param).shape.elements();
    out += cell(node.name, 48) + cell(std::string(node.op ? node.op->type() : "input"), 20) +
           cell(node.op ? node.op->attributes() : "", 28) + cell(node.shape.text(), 20) +
           cell(concat(elements), 12) + fixed(static_cast<double>(node_macs(node)) * 1e-6, 2) + "\n";
  }
  return out;
}

}  // namespace kindred
