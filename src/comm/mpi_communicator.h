#pragma once
// The MPI backend: host memory, any length. The only header that shows mpi.h; for mpi_*.cpp alone.

#include <mpi.h>

#include <limits>

#include "comm/communicator.h"

namespace granule {

/// Throws with MPI's text unless `result` is MPI_SUCCESS.
void check_mpi(int result, const char* call);

/// `size` bytes as MPI wants them: an int count of a datatype. Lengths beyond `limit` become one element of a
/// contiguous datatype of that many bytes.
class MpiBytes {
 public:
  explicit MpiBytes(int64_t size, int64_t limit = std::numeric_limits<int>::max());
  ~MpiBytes();
  MpiBytes(MpiBytes&& other) noexcept;
  MpiBytes(const MpiBytes&) = delete;
  MpiBytes& operator=(const MpiBytes&) = delete;

  int count() const { return count_; }
  MPI_Datatype type() const { return type_; }

 private:
  int count_;
  MPI_Datatype type_ = MPI_BYTE;
};

class MpiCommunicator : public Communicator {
 public:
  /// Owns `comm`.
  MpiCommunicator(std::string name, MPI_Comm comm, std::shared_ptr<CollectiveLog> log);
  ~MpiCommunicator() override;

 private:
  void exchange_blocks(const std::byte* sent, std::span<const Block> send, std::byte* received,
                       std::span<const Block> receive) override;
  void gather_equal_bytes(const std::byte* mine, int64_t count, std::byte* all) override;
  void spread_bytes(std::byte* bytes, int64_t count, int root) override;
  void wait_for_all() override;

  MPI_Comm comm_;
  int exchange_ = 0;  // tag of the next exchange
};

}  // namespace granule
