#include "comm/peer_transfers.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace granule {
namespace {

// Rows that rank `from` has for rank `to` among `size`; ragged, some none, one beyond 32 bits of bytes.
int64_t rows_between(int from, int to) {
  return from == 2 && to == 1 ? int64_t{3} << 31 : (from * 7 + to * 3) % 4;
}

struct Counts {
  std::vector<int64_t> send, receive;
};

Counts counts_of(int rank, int size) {
  Counts counts;
  for (int r = 0; r < size; ++r) {
    counts.send.push_back(rows_between(rank, r));
    counts.receive.push_back(rows_between(r, rank));
  }
  return counts;
}

int64_t rows_before(const std::vector<int64_t>& rows, int rank) {
  int64_t sum = 0;
  for (int r = 0; r < rank; ++r) sum += rows[static_cast<size_t>(r)];
  return sum;
}

const PeerTransfer* find(const std::vector<PeerTransfer>& transfers, int peer) {
  for (const auto& transfer : transfers) {
    if (transfer.peer == peer) return &transfer;
  }
  return nullptr;
}

TEST(PeerTransfers, EverySendMeetsAReceiveOfTheSameLengthAndNothingElse) {
  constexpr int64_t kRowBytes = 48;
  for (const int size : {1, 2, 3, 5}) {
    std::vector<PeerTransfers> all;
    for (int rank = 0; rank < size; ++rank) {
      const auto counts = counts_of(rank, size);
      all.push_back(peer_transfers(rank, counts.send, counts.receive, kRowBytes));
    }
    for (int from = 0; from < size; ++from) {
      for (int to = 0; to < size; ++to) {
        const int64_t rows = rows_between(from, to);
        const auto* sent = find(all[static_cast<size_t>(from)].sends, to);
        const auto* received = find(all[static_cast<size_t>(to)].receives, from);
        ASSERT_EQ(sent != nullptr, rows > 0) << from << " to " << to;
        ASSERT_EQ(received != nullptr, rows > 0) << from << " to " << to;
        if (rows == 0) continue;
        EXPECT_EQ(*sent, (PeerTransfer{to, rows_before(counts_of(from, size).send, to) * kRowBytes,
                                       rows * kRowBytes}));
        EXPECT_EQ(*received, (PeerTransfer{from, rows_before(counts_of(to, size).receive, from) * kRowBytes,
                                           rows * kRowBytes}));
      }
    }
  }
}

TEST(PeerTransfers, RanksBeginWithThemselvesAndGoRound) {
  const std::vector<int64_t> one_each(4, 1);
  const auto transfers = peer_transfers(1, one_each, one_each, 8);
  const auto peers = [](const std::vector<PeerTransfer>& list) {
    std::vector<int> order;
    for (const auto& transfer : list) order.push_back(transfer.peer);
    return order;
  };
  EXPECT_EQ(peers(transfers.sends), (std::vector<int>{1, 2, 3, 0}));
  EXPECT_EQ(peers(transfers.receives), (std::vector<int>{1, 0, 3, 2}));
}

TEST(PeerTransfers, RowsWithoutBytesDoNotTravel) {
  const std::vector<int64_t> rows{5, 7};
  const auto transfers = peer_transfers(0, rows, rows, 0);
  EXPECT_TRUE(transfers.sends.empty() && transfers.receives.empty());
}

}  // namespace
}  // namespace granule
