// Which values of a graph are stored as bf16, and the casts between them and those that are not.
#pragma once

#include <string_view>

#include "common/engine/graph.h"

namespace kindred {

/// The type that programs compute in by the name users give it, "fp32" or "bf16". Throws Error on another.
DType parse_precision(std::string_view name);
std::string_view precision_text(DType compute);

/// Lets a graph compute in `compute`, f32 or bf16. The graph's inputs stay f32, as do the ops that give its
/// outputs (the last linear layer of a classifier, the L2 norm of an embedding): a loss reads f32. Everything
/// between is stored as `compute`. Values from before are void. Throws Error on another type.
void set_precision(Graph& graph, DType compute);

}  // namespace kindred
