#include "data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/check.h"

namespace granule {

std::vector<std::vector<int64_t>> pack_best_fit(const std::vector<int64_t>& lengths, int64_t capacity) {
  std::vector<int64_t> by_length(lengths.size());
  std::iota(by_length.begin(), by_length.end(), int64_t{0});
  const auto length_of = [&](int64_t example) { return lengths[static_cast<size_t>(example)]; };
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](int64_t a, int64_t b) { return length_of(a) > length_of(b); });

  std::vector<std::vector<int64_t>> rows;
  std::set<std::pair<int64_t, size_t>> room_of_row;
  for (const auto example : by_length) {
    const int64_t length = length_of(example);
    CHECK(1 <= length && length <= capacity, "example of ", length, " tokens in rows of ", capacity);
    auto best = room_of_row.lower_bound({length, 0});
    if (best == room_of_row.end()) {
      best = room_of_row.emplace(capacity, rows.size()).first;
      rows.emplace_back();
    }
    const auto [room, row] = *best;
    room_of_row.erase(best);
    room_of_row.emplace(room - length, row);
    rows[row].push_back(example);
  }
  return rows;
}

std::vector<std::vector<int64_t>> pack_none(int64_t num_examples) {
  std::vector<std::vector<int64_t>> rows;
  rows.reserve(static_cast<size_t>(num_examples));
  for (int64_t example = 0; example < num_examples; ++example) rows.push_back({example});
  return rows;
}

}  // namespace granule
