#include "comm/mpi_communicator.h"

#include <algorithm>
#include <stdexcept>

#include "base/check.h"

namespace granule {

namespace {

constexpr int kNumTags = 32768;  // the least that MPI promises

int rank_in(MPI_Comm comm) {
  int rank = 0;
  check_mpi(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  return rank;
}

int size_of(MPI_Comm comm) {
  int size = 0;
  check_mpi(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  return size;
}

}  // namespace

void check_mpi(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw std::runtime_error(join_text(call, ": ", std::string(text, static_cast<size_t>(length))));
}

MpiBytes::MpiBytes(int64_t size, int64_t limit) : count_(size <= limit ? static_cast<int>(size) : 1) {
  if (size <= limit) return;
  const auto num_blocks = size / limit;
  CHECK(num_blocks <= limit, size, " bytes in one message");
  // num_blocks blocks of `limit` bytes, then the rest.
  MPI_Datatype block = MPI_DATATYPE_NULL;
  MPI_Datatype blocks = MPI_DATATYPE_NULL;
  check_mpi(MPI_Type_contiguous(static_cast<int>(limit), MPI_BYTE, &block), "MPI_Type_contiguous");
  check_mpi(MPI_Type_contiguous(static_cast<int>(num_blocks), block, &blocks), "MPI_Type_contiguous");
  const int lengths[] = {1, static_cast<int>(size % limit)};
  const MPI_Aint offsets[] = {0, static_cast<MPI_Aint>(num_blocks * limit)};
  const MPI_Datatype types[] = {blocks, MPI_BYTE};
  check_mpi(MPI_Type_create_struct(2, lengths, offsets, types, &type_), "MPI_Type_create_struct");
  check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
  MPI_Type_free(&block);
  MPI_Type_free(&blocks);
}

MpiBytes::MpiBytes(MpiBytes&& other) noexcept : count_(other.count_), type_(other.type_) {
  other.type_ = MPI_BYTE;
}

MpiBytes::~MpiBytes() {
  if (type_ != MPI_BYTE) MPI_Type_free(&type_);
}

MpiCommunicator::MpiCommunicator(std::string name, MPI_Comm comm, std::shared_ptr<CollectiveLog> log)
    : Communicator(std::move(name), rank_in(comm), size_of(comm), std::move(log)), comm_(comm) {
  check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

MpiCommunicator::~MpiCommunicator() {
  MPI_Comm_free(&comm_);
}

// Messages rather than MPI_Alltoallv: offsets may exceed int, ranks without rows for one another cost
// nothing, and a length on which two ranks disagree is noticed. Each exchange has a tag of its own, so a
// message that nobody expected cannot pass for one of the next exchange.
void MpiCommunicator::exchange_blocks(const std::byte* sent, std::span<const Block> send, std::byte* received,
                                      std::span<const Block> receive) {
  const int tag = exchange_;
  exchange_ = (exchange_ + 1) % kNumTags;

  std::vector<MPI_Request> requests;
  std::vector<int> senders;
  for (int step = 1; step < size(); ++step) {
    const int from = (rank() - step + size()) % size();
    if (receive[from].size == 0) continue;
    const MpiBytes bytes(receive[from].size);
    senders.push_back(from);
    check_mpi(MPI_Irecv(received + receive[from].offset, bytes.count(), bytes.type(), from, tag, comm_,
                        &requests.emplace_back()),
              "MPI_Irecv");
  }
  for (int step = 1; step < size(); ++step) {
    const int to = (rank() + step) % size();
    if (send[to].size == 0) continue;
    const MpiBytes bytes(send[to].size);
    check_mpi(MPI_Isend(sent + send[to].offset, bytes.count(), bytes.type(), to, tag, comm_,
                        &requests.emplace_back()),
              "MPI_Isend");
  }
  std::copy_n(sent + send[rank()].offset, send[rank()].size, received + receive[rank()].offset);

  std::vector<MPI_Status> statuses(requests.size());
  check_mpi(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses.data()), "MPI_Waitall");
  for (size_t i = 0; i < senders.size(); ++i) {
    MPI_Count bytes = 0;
    check_mpi(MPI_Get_elements_x(&statuses[i], MPI_BYTE, &bytes), "MPI_Get_elements_x");
    const auto expected = receive[senders[i]].size;
    CHECK(bytes == expected, "rank ", senders[i], " of group ", name(), " sent ", bytes, " bytes, expected ",
          expected);
  }
}

void MpiCommunicator::gather_equal_bytes(const std::byte* mine, int64_t count, std::byte* all) {
  const MpiBytes bytes(count);
  const bool in_place = mine == all + rank() * count;
  check_mpi(MPI_Allgather(in_place ? MPI_IN_PLACE : mine, bytes.count(), bytes.type(), all, bytes.count(),
                          bytes.type(), comm_),
            "MPI_Allgather");
}

void MpiCommunicator::spread_bytes(std::byte* buffer, int64_t count, int root) {
  const MpiBytes bytes(count);
  check_mpi(MPI_Bcast(buffer, bytes.count(), bytes.type(), root, comm_), "MPI_Bcast");
}

void MpiCommunicator::wait_for_all() {
  check_mpi(MPI_Barrier(comm_), "MPI_Barrier");
}

}  // namespace granule
