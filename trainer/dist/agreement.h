// Checks that all ranks were started alike: a difference would show as a hang or, worse, as a silent mixture.
#pragma once

#include <string_view>

#include "common/engine/communicator.h"

namespace kindred {

/// Throws Error on every rank, naming the ranks that differ, unless `text` is the same everywhere. `what`
/// names it in the message: "the options". Collective; compares 64-bit hashes.
void require_same_on_all_ranks(Stream& stream, Communicator& communicator, std::string_view what,
                               std::string_view text);

}  // namespace kindred
