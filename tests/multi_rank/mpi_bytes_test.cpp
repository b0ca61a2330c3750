#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "comm/mpi_communicator.h"

namespace granule {
namespace {

// Through MPI to itself and back, with an `int` that ends at 7.
TEST(MpiBytes, CarriesLengthsBeyondTheLimitWhole) {
  constexpr int64_t kLimit = 7;
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (!initialized) GTEST_SKIP() << "needs mpirun";
  for (const int64_t size : {0, 1, 6, 7, 8, 13, 14, 15, 49, 55}) {
    const MpiBytes bytes(size, kLimit);
    EXPECT_LE(bytes.count(), kLimit);
    std::vector<char> sent(static_cast<size_t>(size));
    std::iota(sent.begin(), sent.end(), '!');
    std::vector<char> received(static_cast<size_t>(size) + 1, '\0');
    MPI_Status status;
    check_mpi(MPI_Sendrecv(sent.data(), bytes.count(), bytes.type(), 0, 0, received.data(), bytes.count(),
                           bytes.type(), 0, 0, MPI_COMM_SELF, &status),
              "MPI_Sendrecv");
    MPI_Count length = 0;
    MPI_Get_elements_x(&status, MPI_BYTE, &length);
    EXPECT_EQ(length, size);
    sent.push_back('\0');
    EXPECT_EQ(received, sent) << "of " << size << " bytes";
  }
  EXPECT_THROW(MpiBytes(8 * kLimit, kLimit), std::logic_error);
}

}  // namespace
}  // namespace granule
