#include "tests/support/shard_layout.h"

#include <ATen/ATen.h>

#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/random.h"
#include "comm/loopback_communicator.h"

namespace granule {

namespace {

constexpr int kNumExperts = 4;
constexpr int kNumContributors = 4;

int64_t num_elements(const ParameterPiece& piece) {
  return c10::multiply_integers(piece.shape);
}

PlacedParameter dense(const std::string& name, std::vector<int64_t> shape, bool decays,
                      at::ScalarType dtype) {
  return {.tensor = at::zeros(shape, dtype).set_requires_grad(true),
          .placement = Placement::kReplicated,
          .decays = decays,
          .pieces = {{name, shape, 0}}};
}

PlacedParameter experts(const std::string& name, const LayoutRank& rank, std::vector<int64_t> shape,
                        at::ScalarType dtype) {
  const int64_t count = kNumExperts / rank.expert_size;
  PlacedParameter parameter{.tensor = at::zeros({count, shape[0], shape[1]}, dtype).set_requires_grad(true),
                            .placement = Placement::kExpert,
                            .decays = true};
  for (int64_t e = 0; e < count; ++e) {
    const auto id = std::to_string(rank.expert_rank * count + e);
    parameter.pieces.push_back({"experts." + id + "." + name, shape, e * shape[0] * shape[1]});
  }
  return parameter;
}

}  // namespace

void run_layout(int data, int expert, const std::function<void(const LayoutRank&)>& body) {
  const int size = data * expert;
  // One hub a group: the world twice (as world and as replica), and one for each expert rank's data ranks.
  std::vector<std::shared_ptr<LoopbackHub>> hubs = {std::make_shared<LoopbackHub>(size),
                                                    std::make_shared<LoopbackHub>(size)};
  for (int e = 0; e < expert; ++e) hubs.push_back(std::make_shared<LoopbackHub>(data));
  std::mutex mutex;
  std::exception_ptr first_failure;
  const auto run_rank = [&](int rank) {
    const int data_rank = rank / expert, expert_rank = rank % expert;
    const auto log = std::make_shared<CollectiveLog>();
    LoopbackCommunicator world("world", rank, size, hubs[0], log);
    LoopbackCommunicator replica("replica", rank, size, hubs[1], log);
    const auto data_hub = hubs[static_cast<size_t>(2 + expert_rank)];
    LoopbackCommunicator same_experts("data", data_rank, data, data_hub, log);
    try {
      body({{world, replica, same_experts}, expert_rank, expert});
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (first_failure == nullptr) first_failure = std::current_exception();
    }
    hubs[0]->leave(rank);
    hubs[1]->leave(rank);
    data_hub->leave(data_rank);
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) threads.emplace_back(run_rank, rank);
  for (auto& thread : threads) thread.join();
  if (first_failure != nullptr) std::rethrow_exception(first_failure);
}

std::vector<PlacedParameter> coded_parameters(const LayoutRank& rank, uint64_t seed, at::ScalarType dtype) {
  // The norm is fp32 in a bf16 model, so that there are buffers of several dtypes.
  const auto norm_dtype = dtype == at::kBFloat16 ? at::kFloat : dtype;
  std::vector<PlacedParameter> parameters = {
      dense("embedding", {13, 7}, true, dtype), dense("norm", {7}, false, norm_dtype),
      experts("gate", rank, {5, 7}, dtype), dense("head", {3, 41}, true, dtype),
      experts("down", rank, {7, 5}, dtype)};
  const at::NoGradGuard no_grad;
  for_each_piece(parameters, [&](const ParameterPiece& piece, at::Tensor values) {
    const RandomStream stream(seed, piece.name);
    auto coded = at::empty({num_elements(piece)});
    for (int64_t i = 0; i < coded.numel(); ++i) {
      coded.data_ptr<float>()[i] = static_cast<float>(stream.normal(static_cast<uint64_t>(i)));
    }
    values.copy_(coded);
  });
  return parameters;
}

void write_coded_gradients(const std::vector<PlacedParameter>& parameters, const LayoutRank& rank,
                           uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const auto& parameter : parameters) {
    const auto& group = parameter.placement == Placement::kExpert ? rank.groups.data : rank.groups.replica;
    auto gradient = parameter.tensor.grad().view({-1});
    for (const auto& piece : parameter.pieces) {
      for (int contributor = group.rank(); contributor < kNumContributors; contributor += group.size()) {
        const RandomStream stream(seed, piece.name + "/" + std::to_string(contributor));
        for (int64_t i = 0; i < num_elements(piece); ++i) {
          const auto sixteenths = static_cast<double>(stream.below(33, static_cast<uint64_t>(i))) - 16;
          gradient[piece.offset + i] += sixteenths / 16;
        }
      }
    }
  }
}

void for_each_piece(const std::vector<PlacedParameter>& parameters,
                    const std::function<void(const ParameterPiece&, const at::Tensor& values)>& body) {
  for (const auto& parameter : parameters) {
    const auto flat = parameter.tensor.detach().view({-1});
    for (const auto& piece : parameter.pieces) body(piece, flat.narrow(0, piece.offset, num_elements(piece)));
  }
}

}  // namespace granule
