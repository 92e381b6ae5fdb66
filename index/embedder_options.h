// The options by which kindred-index and kindred-eval choose what turns pictures into vectors.
#pragma once

#include <memory>

#include "common/base/options.h"
#include "index/picture_embedder.h"

namespace kindred {

/// Declares --model, --baseline, --device and --precision.
void add_embedder_options(Options& options);

/// Null when neither --model nor --baseline was given. Throws UsageError when both were, and for
/// an unknown precision.
std::unique_ptr<PictureEmbedder> make_embedder(const Options& options);

/// Throws UsageError when there is none.
std::unique_ptr<PictureEmbedder> require_embedder(const Options& options);

}  // namespace kindred
