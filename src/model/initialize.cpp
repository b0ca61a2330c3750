#include "model/initialize.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/random.h"
#include "model/lora.h"

namespace granule {

namespace {

constexpr std::string_view kExperts = ".experts.";
constexpr std::string_view kBlocks = "model.layers.";

bool is_norm(const std::string& name) {
  return name.ends_with("norm.weight");
}

// The number behind `kBlocks`.
int64_t block_of(std::string_view name) {
  if (!name.starts_with(kBlocks)) return kNoBlock;
  int64_t block = kNoBlock;
  std::from_chars(name.data() + kBlocks.size(), name.data() + name.size(), block);
  return block;
}

std::vector<ParameterPiece> pieces_of(const std::string& name, const at::Tensor& tensor,
                                      int64_t first_local_expert) {
  const auto sizes = tensor.sizes().vec();
  if (sizes.size() < 3) return {{name, sizes, 0}};
  const std::vector<int64_t> matrix(sizes.begin() + 1, sizes.end());
  const auto experts = name.find(kExperts);
  if (experts == std::string::npos) {
    CHECK(sizes[0] == 1, name, " is a stack of ", sizes[0], " outside experts");
    return {{name, matrix, 0}};
  }
  std::vector<ParameterPiece> pieces;
  const auto after = experts + kExperts.size();
  for (int64_t e = 0; e < sizes[0]; ++e) {
    pieces.push_back(
        {name.substr(0, after) + std::to_string(first_local_expert + e) + "." + name.substr(after), matrix,
         e * matrix[0] * matrix[1]});
  }
  return pieces;
}

at::Tensor first_values(const ParameterPiece& piece, uint64_t seed, double deviation) {
  int64_t count = 1;
  for (const auto size : piece.shape) count *= size;
  if (is_norm(piece.name)) return at::ones({count});
  if (piece.name.ends_with(kLoraB)) return at::zeros({count});
  const bool is_lora_a = piece.name.ends_with(kLoraA);
  const double bound = 1 / std::sqrt(static_cast<double>(piece.shape.back()));
  auto values = at::empty({count});
  auto* value = values.data_ptr<float>();
  const RandomStream stream(seed, piece.name);
  at::parallel_for(0, count, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<uint64_t>(i);
      value[i] = static_cast<float>(is_lora_a ? bound * (2 * stream.uniform(index) - 1)
                                              : deviation * stream.normal(index));
    }
  });
  return values;
}

}  // namespace

bool is_routed(std::string_view name) {
  return name.find(kExperts) != std::string_view::npos;
}

std::vector<PlacedParameter> place_parameters(const torch::nn::Module& model, int64_t first_local_expert) {
  std::vector<PlacedParameter> placed;
  for (const auto& item : model.named_parameters()) {
    const bool expert = is_routed(item.key());
    const bool decays = item.value().requires_grad() && !is_norm(item.key());
    placed.push_back({item.value(), expert ? Placement::kExpert : Placement::kReplicated, decays,
                      pieces_of(item.key(), item.value(), first_local_expert), block_of(item.key())});
  }
  return placed;
}

void initialize_parameters(const std::vector<PlacedParameter>& parameters, uint64_t seed, double std) {
  const at::NoGradGuard no_grad;
  for (const auto& parameter : parameters) {
    if (!parameter.tensor.requires_grad()) continue;
    auto flat = parameter.tensor.view({-1});
    for (const auto& piece : parameter.pieces) {
      const auto values = first_values(piece, seed, std);
      flat.narrow(0, piece.offset, values.numel()).copy_(values);
    }
  }
}

}  // namespace granule
