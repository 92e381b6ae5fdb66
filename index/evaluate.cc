#include "index/evaluate.h"

#include <algorithm>

namespace kindred {

LabelledVectors labelled_vectors(const Gallery& gallery) {
  LabelledVectors out;
  out.dim = gallery.info().dim;
  out.vectors = gallery.vectors();
  for (GalleryItem& item : gallery.items()) {
    out.labels.push_back(std::move(item.label));
    out.paths.push_back(std::move(item.uri));
  }
  return out;
}

LabelledVectors labelled_vectors(PictureEmbedder& embedder, std::span<const Picture> pictures,
                                 std::vector<SkippedPicture>& skipped) {
  LabelledVectors out;
  out.dim = embedder.dim();
  const auto more = embed_pictures(embedder, pictures, [&](std::span<const EmbeddedPicture> batch) {
    for (const EmbeddedPicture& one : batch) {
      out.vectors.insert(out.vectors.end(), one.vector.begin(), one.vector.end());
      out.labels.push_back(one.picture.label);
      out.paths.push_back(one.picture.path);
    }
  });
  skipped.insert(skipped.end(), more.begin(), more.end());
  return out;
}

IndexedVectors LabelTable::index(const LabelledVectors& set) {
  const auto number = [](std::map<std::string, int64_t>& table, const std::string& name) {
    return table.emplace(name, static_cast<int64_t>(table.size())).first->second;
  };
  IndexedVectors out;
  out.dim = set.dim;
  const auto dim = static_cast<ptrdiff_t>(set.dim);
  for (size_t i = 0; i < set.labels.size(); ++i) {
    if (set.labels[i].empty()) continue;
    const auto row = set.vectors.begin() + static_cast<ptrdiff_t>(i) * dim;
    out.vectors.insert(out.vectors.end(), row, row + dim);
    out.labels.push_back(number(labels_, set.labels[i]));
    out.ids.push_back(number(paths_, set.paths[i]));
    out.origin.push_back(i);
  }
  return out;
}

Evaluation evaluate(const std::string& name, const LabelledVectors& queries, const LabelledVectors* gallery) {
  LabelTable table;
  const IndexedVectors asked = table.index(queries);
  const IndexedVectors stored = gallery == nullptr ? IndexedVectors{} : table.index(*gallery);
  const IndexedVectors& among = gallery == nullptr ? asked : stored;
  if (asked.size() == 0 || among.size() == 0)
    fail(name, ": nothing to evaluate: ", asked.size(), " labelled queries, ", among.size(),
         " labelled gallery items");
  Evaluation out;
  out.name = name;
  out.dim = queries.dim;
  out.queries = asked.size();
  out.gallery = among.size();
  out.classes = table.classes();
  out.unlabelled = queries.size() - asked.size() + (gallery == nullptr ? 0 : gallery->size() - stored.size());
  out.leave_one_out = gallery == nullptr;
  out.retrieval = evaluate_retrieval(asked.view(), among.view(), kRecallAt);
  out.verification = evaluate_verification(asked.view(), among.view(), out.leave_one_out, kTargetFprs);
  if (out.retrieval.queries == 0) fail(name, ": no query has a picture of its own label to be found");
  if (out.verification.negative_pairs == 0)
    fail(name, ": all pictures have one label: nothing can be mistaken");
  return out;
}

std::vector<Retrieval> sample_retrievals(const LabelledVectors& queries, const LabelledVectors* gallery,
                                         int count, int k) {
  LabelTable table;
  const IndexedVectors asked = table.index(queries);
  const LabelledVectors& names = gallery == nullptr ? queries : *gallery;
  const IndexedVectors among = table.index(names);
  const int64_t shown = std::min<int64_t>(count, asked.size());
  const auto dim = static_cast<ptrdiff_t>(asked.dim);

  IndexedVectors sample;
  sample.dim = asked.dim;
  for (int64_t i = 0; i < shown; ++i) {
    const auto at = static_cast<size_t>(i * asked.size() / shown);
    const auto row = asked.vectors.begin() + static_cast<ptrdiff_t>(at) * dim;
    sample.vectors.insert(sample.vectors.end(), row, row + dim);
    sample.labels.push_back(asked.labels[at]);
    sample.ids.push_back(asked.ids[at]);
    sample.origin.push_back(asked.origin[at]);
  }
  const std::vector<Neighbour> nearest = nearest_neighbours(sample.view(), among.view(), k);
  std::vector<Retrieval> out;
  for (size_t q = 0; q < sample.origin.size(); ++q) {
    Retrieval retrieval{queries.paths[sample.origin[q]], queries.labels[sample.origin[q]], {}};
    for (size_t i = q * static_cast<size_t>(k); i < (q + 1) * static_cast<size_t>(k); ++i) {
      if (nearest[i].index < 0) break;
      const size_t origin = among.origin[static_cast<size_t>(nearest[i].index)];
      retrieval.hits.push_back({names.paths[origin], names.labels[origin], nearest[i].score});
    }
    out.push_back(std::move(retrieval));
  }
  return out;
}

}  // namespace kindred
