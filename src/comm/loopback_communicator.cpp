#include "comm/loopback_communicator.h"

#include <cstring>
#include <exception>
#include <string_view>
#include <thread>

#include "base/check.h"

namespace granule {

void run_loopback(int num_ranks, const std::function<void(Communicator&)>& body) {
  const auto hub = std::make_shared<LoopbackHub>(num_ranks);
  std::mutex mutex;
  std::exception_ptr first_failure;
  const auto run_rank = [&](int rank) {
    try {
      LoopbackCommunicator communicator("loopback", rank, num_ranks, hub, std::make_shared<CollectiveLog>());
      body(communicator);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (first_failure == nullptr) first_failure = std::current_exception();
    }
    hub->leave(rank);
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_ranks; ++rank) threads.emplace_back(run_rank, rank);
  for (auto& thread : threads) thread.join();
  if (first_failure != nullptr) std::rethrow_exception(first_failure);
}

void LoopbackHub::offer(int rank, Offer offer) {
  offers_[static_cast<size_t>(rank)] = std::move(offer);
  wait_for_all();
  for (size_t other = 0; other < offers_.size(); ++other) {
    CHECK(std::string_view(offers_[other].verb) == offers_[static_cast<size_t>(rank)].verb, "rank ", rank,
          " is in ", offers_[static_cast<size_t>(rank)].verb, ", rank ", other, " in ", offers_[other].verb);
  }
}

void LoopbackHub::wait_for_all() {
  std::unique_lock lock(mutex_);
  if (++num_waiting_ == offers_.size()) {
    num_waiting_ = 0;
    ++meeting_;
    changed_.notify_all();
    return;
  }
  const auto this_meeting = meeting_;
  changed_.wait(lock, [&] { return meeting_ != this_meeting || left_rank_ >= 0; });
  CHECK(meeting_ != this_meeting, "waits for rank ", left_rank_, ", which has left");
}

void LoopbackHub::leave(int rank) {
  const std::lock_guard lock(mutex_);
  left_rank_ = rank;
  changed_.notify_all();
}

LoopbackCommunicator::LoopbackCommunicator(std::string name, int rank, int size,
                                           std::shared_ptr<LoopbackHub> hub,
                                           std::shared_ptr<CollectiveLog> log)
    : Communicator(std::move(name), rank, size, std::move(log)), hub_(std::move(hub)) {}

LoopbackCommunicator::LoopbackCommunicator(std::string name, std::shared_ptr<CollectiveLog> log)
    : LoopbackCommunicator(std::move(name), 0, 1, std::make_shared<LoopbackHub>(1), std::move(log)) {}

void LoopbackCommunicator::exchange_blocks(const std::byte* sent, std::span<const Block> send,
                                           std::byte* received, std::span<const Block> receive) {
  LoopbackHub::Offer offer{.verb = "exchange", .data = sent};
  for (const auto& block : send) {
    offer.offsets.push_back(block.offset);
    offer.sizes.push_back(block.size);
  }
  hub_->offer(rank(), std::move(offer));
  for (int from = 0; from < size(); ++from) {
    const auto& other = hub_->offer_of(from);
    const auto& block = receive[from];
    CHECK(other.sizes[rank()] == block.size, "rank ", from, " sends ", other.sizes[rank()], " bytes to rank ",
          rank(), ", which expects ", block.size);
    if (block.size > 0) std::memcpy(received + block.offset, other.data + other.offsets[rank()], block.size);
  }
  hub_->wait_for_all();
}

void LoopbackCommunicator::gather_equal_bytes(const std::byte* mine, int64_t count, std::byte* all) {
  hub_->offer(rank(), {.verb = "gather", .data = mine, .sizes = {count}});
  for (int from = 0; from < size(); ++from) {
    const auto& other = hub_->offer_of(from);
    CHECK(other.sizes[0] == count, "rank ", from, " gives ", other.sizes[0], " bytes, rank ", rank(), " ",
          count);
    auto* place = all + from * count;
    if (place != other.data) std::memcpy(place, other.data, count);
  }
  hub_->wait_for_all();
}

void LoopbackCommunicator::spread_bytes(std::byte* bytes, int64_t count, int root) {
  hub_->offer(rank(), {.verb = "broadcast", .data = bytes, .sizes = {count, root}});
  const auto& source = hub_->offer_of(root);
  CHECK(source.sizes == (std::vector<int64_t>{count, root}), "rank ", rank(), " expects ", count,
        " bytes from rank ", root, ", which broadcasts ", source.sizes[0], " from ", source.sizes[1]);
  if (rank() != root) std::memcpy(bytes, source.data, count);
  hub_->wait_for_all();
}

void LoopbackCommunicator::wait_for_all() {
  hub_->offer(rank(), {.verb = "barrier"});
  hub_->wait_for_all();
}

}  // namespace granule
