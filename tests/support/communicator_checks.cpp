#include "tests/support/communicator_checks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "base/check.h"
#include "comm/autograd_collectives.h"

namespace granule {

namespace {

using Counts = std::vector<int64_t>;

const std::vector<at::ScalarType> kReducible = {at::kFloat, at::kDouble, at::kLong};

// 1009 fp32 values take the way of small sums, 4099 the way of large ones with a rest.
std::vector<int64_t> sizes_of(const Communicator& group) {
  return {0, 1, 3, group.size(), 1009, 4099};
}

at::Tensor contributions(const Communicator& group, int64_t n, at::ScalarType dtype) {
  std::vector<at::Tensor> all;
  for (int r = 0; r < group.size(); ++r) all.push_back(contribution(r, n, dtype));
  return at::stack(all);
}

// One rank after the other, as the contract says.
at::Tensor sum_by_loop(const Communicator& group, int64_t n, at::ScalarType dtype) {
  auto sum = contribution(0, n, dtype);
  for (int r = 1; r < group.size(); ++r) sum = sum + contribution(r, n, dtype);
  return sum;
}

std::string in(const Communicator& group, const char* verb, int64_t n, at::ScalarType dtype) {
  return join_text(verb, " of ", n, " ", dtype, " on rank ", group.rank(), " of ", group.size());
}

void expect_all_reduce_like_loop(Communicator& group, int64_t n, at::ScalarType dtype) {
  auto reduced = contribution(group.rank(), n, dtype);
  group.all_reduce_sum(reduced);
  EXPECT_TRUE(reduced.equal(sum_by_loop(group, n, dtype))) << in(group, "all_reduce_sum", n, dtype);
}

void expect_reduce_scatter_like_loop(Communicator& group, int64_t n, at::ScalarType dtype) {
  const auto expected = sum_by_loop(group, n * group.size(), dtype).narrow(0, n * group.rank(), n);
  auto all = contribution(group.rank(), n * group.size(), dtype);
  auto mine = at::empty({n}, dtype);
  group.reduce_scatter_sum(all, mine);
  EXPECT_TRUE(mine.equal(expected)) << in(group, "reduce_scatter_sum", n, dtype);

  auto slice = all.narrow(0, n * group.rank(), n);
  group.reduce_scatter_sum(all, slice);
  EXPECT_TRUE(slice.equal(expected)) << in(group, "reduce_scatter_sum in place", n, dtype);
}

// Rank `from` sends this many rows to `to`: ragged, some of them none; the last rank of `silent` sends
// nothing.
int64_t rows_between(int from, int to, int salt) {
  return (from * 7 + to * 3 + salt) % 4;
}

struct RaggedCase {
  Counts send_rows;
  Counts receive_rows;
};

// Salt 0..3 are ragged; then: rank 0 sends nothing, rank 0 receives nothing, all to the last rank, nothing at
// all.
std::vector<RaggedCase> ragged_cases(const Communicator& group) {
  const int last = group.size() - 1;
  const auto case_of = [&](const std::function<int64_t(int, int)>& rows) {
    RaggedCase made;
    for (int r = 0; r < group.size(); ++r) {
      made.send_rows.push_back(rows(group.rank(), r));
      made.receive_rows.push_back(rows(r, group.rank()));
    }
    return made;
  };
  std::vector<RaggedCase> cases;
  for (int salt = 0; salt < 4; ++salt) {
    cases.push_back(case_of([&](int from, int to) { return rows_between(from, to, salt); }));
  }
  cases.push_back(case_of([](int from, int) { return from == 0 ? 0 : 2; }));
  cases.push_back(case_of([](int, int to) { return to == 0 ? 0 : 5; }));
  cases.push_back(case_of([&](int, int to) { return to == last ? 300 : 0; }));
  cases.push_back(case_of([](int, int) { return 0; }));
  return cases;
}

// Each row tells sender, receiver and its number: [rows, width].
at::Tensor marked_rows(int from, int to, int64_t rows, int64_t width) {
  const auto row = at::arange(rows, at::kDouble).unsqueeze(1) + 8 * to + 64 * from;
  return (row + at::arange(width, at::kDouble).unsqueeze(0) / 8).reshape({rows, width});
}

at::Tensor rows_sent(const Communicator& group, const RaggedCase& ragged, int64_t width) {
  std::vector<at::Tensor> parts;
  for (int r = 0; r < group.size(); ++r) {
    parts.push_back(marked_rows(group.rank(), r, ragged.send_rows[r], width));
  }
  return at::cat(parts);
}

at::Tensor rows_expected(const Communicator& group, const RaggedCase& ragged, int64_t width) {
  std::vector<at::Tensor> parts;
  for (int r = 0; r < group.size(); ++r) {
    parts.push_back(marked_rows(r, group.rank(), ragged.receive_rows[r], width));
  }
  return at::cat(parts);
}

}  // namespace

at::Tensor contribution(int rank, int64_t n, at::ScalarType dtype) {
  const auto mixed = (at::arange(n, at::kLong) * 7919 + rank * 104729 + 13) % 1000003 - 500000;
  if (dtype == at::kLong) return mixed * 1000000007;
  // Sevenths have no exact binary form, so that another order of the sum gives other bits.
  return (mixed.to(at::kDouble) / 7).to(dtype);
}

void expect_reductions_like_loops(Communicator& group) {
  for (const auto dtype : kReducible) {
    for (const auto n : sizes_of(group)) {
      expect_all_reduce_like_loop(group, n, dtype);
      expect_reduce_scatter_like_loop(group, n, dtype);
      auto largest = contribution(group.rank(), n, dtype);
      group.all_reduce_max(largest);
      EXPECT_TRUE(largest.equal(std::get<0>(contributions(group, n, dtype).max(0))))
          << in(group, "max", n, dtype);
    }
  }
  const int64_t value = 10 + group.rank();
  EXPECT_EQ(group.all_reduce_sum(value), 10 * group.size() + group.size() * (group.size() - 1) / 2);
  EXPECT_EQ(group.all_reduce_max(-value), -10);
}

void expect_large_reductions_like_loops(Communicator& group) {
  constexpr int64_t kElements = 2500007;
  expect_all_reduce_like_loop(group, kElements, at::kFloat);
  expect_reduce_scatter_like_loop(group, kElements / group.size(), at::kFloat);
}

void expect_gathers_like_loops(Communicator& group) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kLong, at::kBFloat16, at::kByte}) {
    for (const auto n : sizes_of(group)) {
      const auto expected = contributions(group, n, dtype).flatten();
      auto all = at::zeros({group.size() * n}, dtype);
      group.all_gather(contribution(group.rank(), n, dtype), all);
      EXPECT_TRUE(all.equal(expected)) << in(group, "all_gather", n, dtype);

      all.zero_();
      const auto place = all.narrow(0, group.rank() * n, n);
      place.copy_(contribution(group.rank(), n, dtype));
      group.all_gather(place, all);
      EXPECT_TRUE(all.equal(expected)) << in(group, "all_gather in place", n, dtype);
    }
  }
}

void expect_exchanges_like_loops(Communicator& group) {
  const int size = group.size();
  for (const auto n : sizes_of(group)) {
    const auto sent = contribution(group.rank(), size * n, at::kLong).reshape({size, n});
    auto received = at::zeros_like(sent);
    group.all_to_all(sent, received);
    for (int r = 0; r < size; ++r) {
      const auto expected = contribution(r, size * n, at::kLong).reshape({size, n})[group.rank()];
      EXPECT_TRUE(received[r].equal(expected)) << in(group, "all_to_all", n, at::kLong) << " from " << r;
    }
  }
  for (const auto& ragged : ragged_cases(group)) {
    for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
      for (const int64_t width : {1, 5}) {
        const auto sent = rows_sent(group, ragged, width).to(dtype);
        const auto expected = rows_expected(group, ragged, width).to(dtype);
        auto received = at::zeros_like(expected);
        group.all_to_all_rows(sent, ragged.send_rows, received, ragged.receive_rows);
        EXPECT_TRUE(received.equal(expected)) << in(group, "all_to_all_rows", sent.size(0), dtype);
      }
    }
  }
}

void expect_broadcasts_from_every_root(Communicator& group) {
  for (int root = 0; root < group.size(); ++root) {
    for (const auto n : sizes_of(group)) {
      auto tensor = contribution(group.rank(), n, at::kFloat);
      group.broadcast(tensor, root);
      EXPECT_TRUE(tensor.equal(contribution(root, n, at::kFloat))) << in(group, "broadcast", n, at::kFloat);
    }
  }
}

void expect_bytes_gathered(Communicator& group) {
  const auto bytes_of_rank = [](int rank) {
    return std::string(rank % 3 * 1000, static_cast<char>('a' + rank));
  };
  const auto all = group.all_gather_bytes(bytes_of_rank(group.rank()));
  ASSERT_EQ(static_cast<int>(all.size()), group.size());
  for (int r = 0; r < group.size(); ++r) EXPECT_EQ(all[r], bytes_of_rank(r)) << "on rank " << group.rank();
  EXPECT_EQ(group.all_gather_bytes(""), std::vector<std::string>(group.size()));
  for (int root = 0; root < group.size(); ++root) {
    const auto expected = group.rank() == root ? all : std::vector<std::string>();
    EXPECT_EQ(group.gather_bytes(bytes_of_rank(group.rank()), root), expected) << "root " << root;
    EXPECT_EQ(group.broadcast_bytes(bytes_of_rank(group.rank()), root), bytes_of_rank(root));
  }
}

void expect_row_gradients_travel_back(Communicator& group) {
  constexpr int64_t kWidth = 3;
  for (const auto& ragged : ragged_cases(group)) {
    for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
      const auto x = rows_sent(group, ragged, kWidth).to(dtype).requires_grad_();
      const auto received = all_to_all_rows(group, x, ragged.send_rows, ragged.receive_rows);
      ASSERT_TRUE(received.equal(rows_expected(group, ragged, kWidth).to(dtype)));

      // A receiver weighs what it got by twice its rank plus one; that is what must come back, row by row.
      (received * (2 * group.rank() + 1)).sum().backward();
      int64_t row = 0;
      for (int r = 0; r < group.size(); ++r) {
        const auto gradient = x.grad().narrow(0, row, ragged.send_rows[r]);
        EXPECT_TRUE(gradient.equal(at::full_like(gradient, 2 * r + 1)))
            << "rank " << group.rank() << " to " << r;
        row += ragged.send_rows[r];
      }
    }
  }
}

}  // namespace granule
