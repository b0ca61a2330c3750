#include "model/hash_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <queue>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "base/file.h"

namespace granule {

namespace {

// 0 .. count-1 in an order that depends on places [first, first + count) of the stream.
std::vector<int64_t> shuffled(int64_t count, const RandomStream& stream, uint64_t first) {
  std::vector<std::pair<uint64_t, int64_t>> keyed;
  for (int64_t i = 0; i < count; ++i) keyed.emplace_back(stream.bits(first + static_cast<uint64_t>(i)), i);
  std::sort(keyed.begin(), keyed.end());
  std::vector<int64_t> order;
  for (const auto& [key, i] : keyed) order.push_back(i);
  return order;
}

}  // namespace

std::vector<int64_t> make_hash_table(const std::vector<int64_t>& count_V, int64_t num_experts,
                                     const RandomStream& stream) {
  const auto V = static_cast<int64_t>(count_V.size());
  const auto count_of = [&](int64_t id) { return count_V[static_cast<size_t>(id)]; };
  auto ids = shuffled(V, stream, 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int64_t a, int64_t b) { return count_of(a) > count_of(b); });
  const auto experts = shuffled(num_experts, stream, static_cast<uint64_t>(V));

  struct Bucket {
    int64_t tokens, ids, place;
    auto operator<=>(const Bucket&) const = default;
  };
  std::priority_queue<Bucket, std::vector<Bucket>, std::greater<>> emptiest;
  for (int64_t place = 0; place < num_experts; ++place) emptiest.push({0, 0, place});
  std::vector<int64_t> table(count_V.size());
  for (const int64_t id : ids) {
    auto bucket = emptiest.top();
    emptiest.pop();
    table[static_cast<size_t>(id)] = experts[static_cast<size_t>(bucket.place)];
    bucket.tokens += count_of(id);
    ++bucket.ids;
    emptiest.push(bucket);
  }
  return table;
}

std::vector<int64_t> read_token_counts(const std::string& path, int64_t vocab_size) {
  constexpr uint64_t kMaxLineBytes = 24;
  std::istringstream text(read_text_file(path, kMaxLineBytes * static_cast<uint64_t>(vocab_size)));
  std::vector<int64_t> count_V;
  for (std::string line; std::getline(text, line);) {
    int64_t count = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), count);
    if (error != std::errc() || end != line.data() + line.size() || count < 0) {
      throw InputError(path, "line ", count_V.size() + 1, ": \"", line, "\" is no count");
    }
    count_V.push_back(count);
  }
  if (static_cast<int64_t>(count_V.size()) > vocab_size) {
    throw InputError(path, "counts ", count_V.size(), " ids, but model.vocab_size = ", vocab_size);
  }
  count_V.resize(static_cast<size_t>(vocab_size), 0);
  return count_V;
}

void fill_hash_tables(const std::vector<PlacedParameter>& parameters, const RouterConfig& config,
                      uint64_t seed) {
  if (!config.is_hash()) return;
  const at::NoGradGuard no_grad;
  std::vector<int64_t> count_V;
  for (const auto& parameter : parameters) {
    const auto& name = parameter.pieces.front().name;
    if (!name.ends_with(kHashTable)) continue;
    if (count_V.empty()) {
      const int64_t V = parameter.tensor.numel();
      count_V = config.moe_router_hash_counts.empty() ? std::vector<int64_t>(static_cast<size_t>(V), 1)
                                                      : read_token_counts(config.moe_router_hash_counts, V);
    }
    parameter.tensor.detach().copy_(
        at::tensor(make_hash_table(count_V, config.n_routed_experts, RandomStream(seed, name)), at::kLong));
  }
}

}  // namespace granule
