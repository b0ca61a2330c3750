#include "ops/top_k.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "base/check.h"

namespace granule {

namespace {

template <class Score>
bool is_better(Score score, Score other) {
  return score > other || (std::isnan(other) && !std::isnan(score));
}

// Insertion into the best k so far; ids come in ascending order, so an equal score never passes an earlier
// one.
template <class Score>
void choose(const Score* score, int64_t E, int64_t k, int64_t* best) {
  int64_t found = 0;
  for (int64_t e = 0; e < E; ++e) {
    if (found == k && !is_better(score[e], score[best[k - 1]])) continue;
    int64_t place = found < k ? found++ : k - 1;
    for (; place > 0 && is_better(score[e], score[best[place - 1]]); --place) best[place] = best[place - 1];
    best[place] = e;
  }
}

// Ascending order of the negated scores puts NaN last, as the highest value, and leaves equal ones in order
// of id.
at::Tensor top_k_by_sorting(const at::Tensor& score_TE, int64_t k) {
  const auto order = at::sort(-score_TE, /*stable=*/true, /*dim=*/1, /*descending=*/false);
  return std::get<1>(order).narrow(1, 0, k).contiguous();
}

}  // namespace

at::Tensor top_k_ids(const at::Tensor& score_TE, int64_t k) {
  const auto [T, E] = get_shape<2>(score_TE);
  CHECK(k >= 1 && k <= E, "k = ", k, " of ", E);
  if (!score_TE.is_cpu()) return top_k_by_sorting(score_TE, k);
  const auto rows_TE = score_TE.contiguous();
  auto id_TK = at::empty({T, k}, at::kLong);
  auto* id = id_TK.mutable_data_ptr<int64_t>();
  AT_DISPATCH_FLOATING_TYPES(rows_TE.scalar_type(), "top_k_ids", [&] {
    const auto* score = rows_TE.const_data_ptr<scalar_t>();
    at::parallel_for(0, T, 64, [&, E = E](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) choose(score + t * E, E, k, id + t * k);
    });
  });
  return id_TK;
}

}  // namespace granule
