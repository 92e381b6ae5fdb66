// The CPU's stream: a call is the work itself, so nothing is ever queued. No oneDNN names here; *_cpu.cc
// files that need its handles include engine/cpu/dnnl_stream.h.
#pragma once

#include <memory>

#include "common/engine/stream.h"

namespace kindred {

std::unique_ptr<Stream> make_cpu_stream();

/// Makes the calling thread and its pool treat denormal numbers as zero: they cost a hundred cycles each and
/// carry nothing here. make_cpu_stream calls it; threads started later inherit it from the thread that starts
/// them.
void flush_denormals();

}  // namespace kindred
