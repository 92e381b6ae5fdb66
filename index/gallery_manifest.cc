#include "index/gallery_manifest.h"

#include <filesystem>

#include "common/base/hash.h"
#include "common/base/version.h"
#include "common/io/file.h"

namespace kindred {

namespace {

constexpr int kFormat = 1;
constexpr int64_t kMaxBytes = 1 << 20;
constexpr int kMaxDim = 1 << 16;

std::string checksum(Json json) {
  json.erase("checksum");
  return sha256_hex(json.dump());
}

CalibratedThreshold threshold_from_json(const Json& json, const std::string& what) {
  CalibratedThreshold threshold;
  threshold.target_fpr = json_get<double>(json, "target_fpr", what);
  threshold.threshold = json_get<double>(json, "threshold", what);
  threshold.achieved_fpr = json_get<double>(json, "achieved_fpr", what);
  threshold.true_positive_rate = json_get<double>(json, "true_positive_rate", what);
  threshold.false_accepts = json_get<int64_t>(json, "false_accepts", what);
  threshold.positive_pairs = json_get<int64_t>(json, "positive_pairs", what);
  threshold.negative_pairs = json_get<int64_t>(json, "negative_pairs", what);
  return threshold;
}

}  // namespace

Json to_json(const CalibratedThreshold& threshold) {
  return {{"target_fpr", threshold.target_fpr},        {"threshold", threshold.threshold},
          {"achieved_fpr", threshold.achieved_fpr},    {"true_positive_rate", threshold.true_positive_rate},
          {"false_accepts", threshold.false_accepts},  {"positive_pairs", threshold.positive_pairs},
          {"negative_pairs", threshold.negative_pairs}};
}

GalleryManifest read_manifest(const std::string& path) {
  if (!std::filesystem::exists(path))
    fail(path, ": is missing, so this folder is no gallery; build one with 'kindred-index build'");
  const Json json = parse_json(read_file(path, kMaxBytes), path);
  if (const int64_t format = json_get<int64_t>(json, "format", path); format > kFormat)
    fail(path, ": has format ", format, ", this program reads up to format ", kFormat,
         "; use a newer Kindred");
  if (json_get<std::string>(json, "checksum", path) != checksum(json))
    fail(path, ": damaged or edited: its checksum does not match; restore it, or build the gallery again");

  GalleryManifest manifest;
  manifest.gallery_id = json_get<std::string>(json, "gallery_id", path);
  GalleryInfo& info = manifest.info;
  info.model_id = json_get<std::string>(json, "model_id", path);
  info.image = ImageSpec::from_json(json_get<Json>(json, "image", path), concat(path, ": image"));
  info.dim = json_get<int>(json, "dim", path);
  if (info.dim < 1 || info.dim > kMaxDim) fail(path, ": dim is ", info.dim, ", expected 1 to ", kMaxDim);
  if (const auto metric = json_get<std::string>(json, "metric", path); metric != "cosine")
    fail(path, ": metric is '", metric, "', expected 'cosine'");
  info.index_type = json_get<std::string>(json, "index_type", path);
  info.items = json_get<int64_t>(json, "items", path);
  for (const Json& threshold : json_get<Json>(json, "thresholds", path))
    info.thresholds.push_back(threshold_from_json(threshold, concat(path, ": thresholds")));
  manifest.index_sha256 = json_get<std::string>(json, "index_sha256", path);
  return manifest;
}

void write_manifest(const std::string& path, const GalleryManifest& manifest) {
  const GalleryInfo& info = manifest.info;
  Json thresholds = Json::array();
  for (const CalibratedThreshold& threshold : info.thresholds) thresholds.push_back(to_json(threshold));
  Json json{{"format", kFormat},
            {"written_by", concat("kindred ", kVersion)},
            {"gallery_id", manifest.gallery_id},
            {"model_id", info.model_id},
            {"image", info.image.to_json()},
            {"metric", "cosine"},
            {"dim", info.dim},
            {"index_type", info.index_type},
            {"index_sha256", manifest.index_sha256},
            {"items", info.items},
            {"thresholds", thresholds}};
  json["checksum"] = checksum(json);
  write_file(path, json.dump(2) + "\n");
}

}  // namespace kindred
