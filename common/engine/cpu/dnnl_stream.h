// oneDNN's handles of a CPU stream, for *_cpu.cc files.
#pragma once

#include <dnnl.hpp>

#include "common/engine/stream.h"

namespace kindred {

/// Requires: a stream of the CPU.
dnnl::engine& dnnl_engine(Stream& stream);
dnnl::stream& dnnl_stream(Stream& stream);

}  // namespace kindred
